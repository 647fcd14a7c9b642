using BlockLayer.Errors;
using BlockLayer.Images;
using BlockLayer.Jobs;
using Xunit;

namespace BlockLayer.Simulation.Tests.Cases;

/// <summary>
/// What tests of programs that run block jobs pad disks and sleep for, each placed exactly. The README shows some of them.
/// </summary>
public class PullCases : MachineCases
{
    private const int Cluster = 64 * 1024;
    private const int Length = 64 * Cluster;

    [Fact]
    public void Cancel_in_the_middle() => Machine.Run(async () =>
    {
        await using Disk disk = await CreateChainAsync();

        // README begins
        var job = new StreamJob(disk.Root);
        JobBreakpoint middle = JobBreakpoint.After(job, Length / 2);
        await job.StartAsync();
        await middle.ReachedAsync();

        Assert.Equal(Length / 2, job.CopiedBytes);
        job.Cancel();
        middle.Continue();
        Assert.Equal(JobOutcome.Cancelled, (await job.Completion).Outcome);
        Assert.Equal(2, disk.Chain.Count);

        StreamJob again = await disk.StartPullAsync();
        await again.Completion;
        Assert.Equal(Length / 2, again.CopiedBytes); // nothing twice
        // README ends
    });

    [Fact]
    public void Abort_racing_completion() => Machine.Run(async () =>
    {
        await using Disk disk = await CreateChainAsync();
        StorageBreakpoint header = Machine.Storage.Faults.Break(new FaultRule { Operations = StorageOperations.Write, Path = "/current", Range = new(0, 512) });
        StreamJob job = await disk.StartPullAsync();
        await header.ReachedAsync();

        Assert.Equal(JobState.Pending, job.State); // everything is copied; the header is about to say so
        Assert.Throws<JobVerbException>(() => job.Cancel());
        header.Continue();
        Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
        Assert.Single(disk.Chain);
    });

    [Fact]
    public void No_space_in_the_middle() => Machine.Run(async () =>
    {
        await using Disk disk = await CreateChainAsync();
        StorageBreakpoint full = Machine.Storage.Faults.Break(new FaultRule { Operations = StorageOperations.Write, Path = "/current", Skip = 5 });
        StreamJob job = await disk.StartPullAsync(new StreamOptions { OnError = JobErrorPolicy.StopOnNoSpace });
        await full.ReachedAsync();
        full.Fail(BlockErrorKind.NoSpace);
        await Machine.PassAsync(TimeSpan.FromMinutes(10)); // the administrator is called

        Assert.Equal((JobState.Paused, JobIoStatus.NoSpace), (job.State, job.GetInfo().IoStatus));
        job.Resume();
        Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
    });

    [Theory]
    [InlineData(CrashLoss.Everything)]
    [InlineData(CrashLoss.Nothing)]
    public void Crash_before_the_header_is_written(CrashLoss loss)
    {
        SimulatedMachine? rebooted = null;
        Machine.Run(async () =>
        {
            Disk disk = await CreateChainAsync();
            StorageBreakpoint header = Machine.Storage.Faults.Break(new FaultRule { Operations = StorageOperations.Write, Path = "/current", Range = new(0, 512) });
            await disk.StartPullAsync();
            await header.ReachedAsync();
            rebooted = Machine.Crash(loss);
        });

        rebooted!.Run(async () =>
        {
            await using Disk disk = await Disk.OpenAsync("/current", rebooted.As("qcow2"));
            Assert.Equal(2, disk.Chain.Count); // it still needs its backing file
            StreamJob again = await disk.StartPullAsync();
            Assert.Equal(JobOutcome.Completed, (await again.Completion).Outcome);
            Assert.Equal(0, again.CopiedBytes); // everything had been copied, durably
        });
    }

    [Fact]
    public void An_event_that_comes_late() => Machine.Run(async () =>
    {
        await using Disk disk = await CreateChainAsync();
        var job = new StreamJob(disk.Root);
        var heard = new List<JobState>();
        LateEvents.Deliver(job, TimeSpan.FromSeconds(5), Machine.Scheduler.Time, (_, what) => heard.AddRange(what is JobStateChanged changed ? [changed.State] : []));
        await job.StartAsync();
        await job.Completion;

        Assert.Empty(heard); // it is over, and nobody has heard that it runs
        await Machine.PassAsync(TimeSpan.FromSeconds(6));
        Assert.Equal([JobState.Running, JobState.Waiting, JobState.Pending, JobState.Concluded, JobState.Null], heard);
    });

    private async Task<Disk> CreateChainAsync()
    {
        await using (Disk template = await Machine.CreateAsync("/template", Length))
        {
            await template.WriteAsync(0, GuestStamp.Create(0, Length, writer: 1));
        }

        return await Machine.CreateAsync("/current", Length, backing: "/template");
    }
}
