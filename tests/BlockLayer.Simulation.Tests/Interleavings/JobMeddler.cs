using BlockLayer.Jobs;

namespace BlockLayer.Simulation.Tests.Interleavings;

/// <summary>A user who pauses, slows down, resumes and cancels a job as it comes to his mind, and sees to it that it ends in the end.</summary>
internal static class JobMeddler
{
    internal static async Task MeddleAsync(SimulationScheduler scheduler, SeededRandom random, BlockJob job)
    {
        for (int i = 0; i < 6 && !job.Completion.IsCompleted; i++)
        {
            try
            {
                MeddleOnce(random, job);
            }
            catch (JobVerbException)
            {
                // The job does not take it just now: he asks for whatever comes to his mind.
            }

            await Task.Delay(TimeSpan.FromMilliseconds(random.Next(60)), scheduler.Time);
        }

        for (int errors = 0; !job.Completion.IsCompleted; errors++)
        {
            if (errors == 20)
            {
                job.TryCancel(force: true); // one that tries the same place for ever
            }
            else if (job.GetInfo().IsPaused)
            {
                job.Resume(); // also from errors that stop it
            }

            await Task.Delay(TimeSpan.FromSeconds(1), scheduler.Time);
        }
    }

    private static void MeddleOnce(SeededRandom random, BlockJob job)
    {
        switch (random.Next(12))
        {
            case 0:
                job.Cancel();
                break;
            case 1:
                job.Pause();
                break;
            case 2:
                job.BytesPerSecond = random.Next(2) * 65536L * 50;
                break;
            default:
                job.Resume();
                break;
        }
    }
}
