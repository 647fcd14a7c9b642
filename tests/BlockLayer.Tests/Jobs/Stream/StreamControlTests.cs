using BlockLayer.Jobs;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Jobs;

/// <summary>A pull under its user's hands: slower, faster, paused, cancelled, run again.</summary>
public class StreamControlTests
{
    private const int Unit = StreamFixture.Unit;

    [Fact]
    public void A_pull_keeps_to_its_speed()
    {
        StreamFixture disk = Disk(units: 64);
        disk.Run(async () => await disk.CompletesAsync(new StreamOptions { BytesPerSecond = 8 * Unit }));
        Assert.InRange(disk.Scheduler.Elapsed.TotalSeconds, 6.9, 8.1); // the last step is not slept for
    }

    [Fact]
    public void A_new_speed_takes_effect_on_a_sleeping_job_at_once()
    {
        StreamFixture disk = Disk(units: 64);
        disk.Run(async () =>
        {
            StreamJob job = disk.NewJob(new StreamOptions { BytesPerSecond = 1 });
            await job.StartAsync();
            await Task.Delay(TimeSpan.FromSeconds(10), disk.Scheduler.Time);
            Assert.InRange(job.Progress.Current, 0, disk.Length - 1);
            job.BytesPerSecond = 0;
            Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
        });
        Assert.InRange(disk.Scheduler.Elapsed.TotalSeconds, 10, 10.1);
    }

    [Fact]
    public void A_paused_job_does_nothing_until_it_is_resumed()
    {
        StreamFixture disk = Disk(units: 64);
        disk.Run(async () =>
        {
            StreamJob job = disk.NewJob(new StreamOptions { BytesPerSecond = 8 * Unit });
            await job.StartAsync();
            await Task.Delay(TimeSpan.FromSeconds(2.5), disk.Scheduler.Time);
            job.Pause();
            await Task.Delay(TimeSpan.FromSeconds(2), disk.Scheduler.Time);
            Assert.Equal(JobState.Paused, job.State);
            JobProgress progress = job.Progress;
            await Task.Delay(TimeSpan.FromHours(1), disk.Scheduler.Time);
            Assert.Equal(progress, job.Progress);
            job.Resume();
            Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
        });
        disk.AssertClean();
    }

    [Fact]
    public void Cancelled_anywhere_a_pull_undoes_nothing_and_the_next_one_copies_nothing_twice()
    {
        for (int milliseconds = 50; milliseconds < 4000; milliseconds += 150)
        {
            StreamFixture disk = Disk(units: 32);
            disk.Run(async () =>
            {
                StreamJob job = disk.NewJob(new StreamOptions { BytesPerSecond = 8 * Unit });
                await job.StartAsync();
                await Task.Delay(TimeSpan.FromMilliseconds(milliseconds), disk.Scheduler.Time);
                job.TryCancel();
                JobResult result = await job.Completion;
                disk.AssertClean();
                if (result.Outcome == JobOutcome.Cancelled)
                {
                    Assert.Same(disk.Images[0], disk.Top.Backing);
                    Assert.All(await disk.UnitsAsync(), writer => Assert.Equal(1, writer));
                    await disk.CompletesAsync();
                }

                Assert.Null(disk.Top.Backing);
                Assert.All(await disk.UnitsAsync(), writer => Assert.Equal(1, writer));
            });
            int clusters = (int)(disk.Length / 4096);
            Assert.Equal(clusters, disk.Steps.Count(OverlayStep.Store));
        }
    }

    [Fact]
    public void A_job_is_started_once()
    {
        StreamFixture disk = Disk(units: 2);
        disk.Run(async () =>
        {
            StreamJob job = disk.NewJob();
            Assert.Equal(JobState.Created, job.State);
            await job.StartAsync();
            await Assert.ThrowsAsync<InvalidOperationException>(async () => await job.StartAsync());
            await job.Completion;
            await Assert.ThrowsAsync<InvalidOperationException>(async () => await job.StartAsync());
            Assert.False(job.TryCancel());
            Assert.Throws<JobVerbException>(() => job.Pause());
            Assert.Equal(JobState.Null, job.State);
        });
    }

    [Theory]
    [InlineData(JobState.Running)]
    [InlineData(JobState.Waiting)]
    [InlineData(JobState.Pending)]
    public void A_handler_that_throws_ends_the_job_as_a_failure_and_gives_everything_back(JobState thrownAt)
    {
        StreamFixture disk = Disk(units: 2);
        disk.Run(async () =>
        {
            StreamJob job = disk.NewJob();
            job.Notified += (_, what) => ThrowAt(what is JobStateChanged { State: var state } && state == thrownAt);
            await job.StartAsync();
            JobResult result = await job.Completion;
            Assert.Equal(JobOutcome.Failed, result.Outcome);
            Assert.IsType<InvalidDataException>(result.Error);
            Assert.Same(disk.Images[0], disk.Top.Backing);
            await disk.CompletesAsync();
        });
        disk.AssertClean();
    }

    [Fact]
    public void A_handler_that_throws_when_told_of_the_abort_does_not_keep_the_job_from_cleaning_up()
    {
        StreamFixture disk = Disk(units: 32);
        disk.Run(async () =>
        {
            StreamJob job = disk.NewJob(new StreamOptions { BytesPerSecond = Unit });
            job.Notified += (_, what) => ThrowAt(what is JobStateChanged { State: JobState.Aborting });
            await job.StartAsync();
            await Task.Delay(TimeSpan.FromSeconds(2), disk.Scheduler.Time);
            job.Cancel();
            JobResult result = await job.Completion;
            Assert.Equal(JobOutcome.Cancelled, result.Outcome);
            Assert.IsType<InvalidDataException>(result.Error);
            await disk.CompletesAsync();
        });
        disk.AssertClean();
    }

    [Fact]
    public void A_handler_that_throws_when_told_of_the_end_does_not_change_it_and_is_not_lost()
    {
        StreamFixture disk = Disk(units: 2);
        disk.Run(async () =>
        {
            StreamJob job = disk.NewJob();
            job.Notified += (_, what) => ThrowAt(what is JobEnded);
            await job.StartAsync();
            JobResult result = await job.Completion;
            Assert.Equal(JobOutcome.Completed, result.Outcome);
            Assert.IsType<InvalidDataException>(result.Error);
        });
        disk.AssertClean();
    }

    private static void ThrowAt(bool now)
    {
        if (now)
        {
            throw new InvalidDataException("the handler's own");
        }
    }

    private static StreamFixture Disk(int units) => new StreamFixture(units, Unit, 4096).Fill(0, 0, units);
}
