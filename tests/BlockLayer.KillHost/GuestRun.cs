using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Simulation;
using BlockLayer.TestKit;

namespace BlockLayer.KillHost;

/// <summary>
/// Guests that write and flush a disk while a job works on it, without an end (<see cref="ReportingGuest"/>).
/// </summary>
/// <param name="environment">Where the disk is.</param>
/// <param name="report">Where the lines go.</param>
/// <param name="seed">Decides the requests.</param>
/// <param name="bytesPerSecond">How fast the job copies: slow enough for guests to meet it.</param>
internal sealed class GuestRun(BlockEnvironment environment, Report report, ulong seed, long bytesPerSecond)
{
    /// <summary>The line that says that the job has succeeded.</summary>
    internal const string Told = "told";

    private const int GuestCount = 2;
    private const int RequestsBefore = 40;
    private const int RequestsAfterwards = 10;

    /// <summary>Ends when the job has, some requests later.</summary>
    internal async Task RunAsync(string path, HostJob what, KillStage stage)
    {
        Disk disk = await Disk.OpenAsync(path, new DiskOptions { Environment = environment }).ConfigureAwait(false);
        var random = new SeededRandom(seed);
        var guest = new ReportingGuest(disk, report.Send);
        await guest.RunAsync(random, RequestsBefore).ConfigureAwait(false);
        Task[] guests = [.. Enumerable.Range(0, GuestCount).Select(number => environment.Work.StartAsync(() => guest.RunAsync(random.Fork((ulong)number))))];
        BlockJob job = await what.StartAsync(disk, bytesPerSecond).ConfigureAwait(false);
        job.Notified += (_, change) =>
        {
            if (change is JobStateChanged { State: JobState.Waiting })
            {
                stage.BeginFinishing();
            }
        };
        Task<JobResult> end = job is LiveCopyJob copy ? copy.SwitchWhenReadyAsync() : job.Completion;
        await await Task.WhenAny([end, .. guests]).ConfigureAwait(false); // a guest ends only by failing
        JobResult result = await end.ConfigureAwait(false);
        if (result.Outcome != JobOutcome.Completed)
        {
            throw new InvalidOperationException($"{job} was {result.Outcome}.", result.Error);
        }

        report.Send(Told);
        await guest.RunAsync(random, RequestsAfterwards).ConfigureAwait(false);
    }
}
