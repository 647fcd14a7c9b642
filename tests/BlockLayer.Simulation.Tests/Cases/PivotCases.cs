using BlockLayer.Images;
using BlockLayer.Jobs;
using Xunit;

namespace BlockLayer.Simulation.Tests.Cases;

/// <summary>A live copy and its pivot, with the power of a test over when each step happens.</summary>
public class PivotCases : MachineCases
{
    private const int Cluster = 64 * 1024;
    private const int Length = 64 * Cluster;

    [Fact]
    public void Pivot_too_early() => Machine.Run(async () =>
    {
        await using Disk disk = await CreateAsync();
        MirrorJob job = await StartPausedAsync(disk);
        JobBreakpoint middle = JobBreakpoint.After(job, Length / 2);
        job.Resume();
        await middle.ReachedAsync();

        JobVerbException refusal = Assert.Throws<JobVerbException>(() => job.Complete());
        Assert.Equal(JobState.Running, refusal.State);
        Assert.Equal("/disk", disk.Chain[0].Path); // nothing has happened

        middle.Continue();
        await job.WaitUntilReadyAsync();
        job.Complete();
        Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
        Assert.Equal("/copy", disk.Chain[0].Path);
    });

    [Fact]
    public void A_write_between_ready_and_the_pivot() => Machine.Run(async () =>
    {
        await using Disk disk = await CreateAsync();
        MirrorJob job = await StartPausedAsync(disk);
        job.Resume();
        await job.WaitUntilReadyAsync();
        StorageBreakpoint late = Machine.Storage.Faults.Break(new FaultRule { Operations = StorageOperations.Write, Path = "/copy" });
        byte[] written = GuestStamp.Create(0, Cluster, writer: 2);
        Task write = disk.WriteAsync(0, written).AsTask();
        job.Complete();
        await late.ReachedAsync(); // the copy lacks what the guest has written

        Assert.Equal("/disk", disk.Chain[0].Path);
        late.Continue();
        await write;
        Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
        byte[] found = new byte[Cluster];
        await disk.ReadAsync(0, found);
        Assert.Equal(written, found);
    });

    // Jobs start at once; one that is paused before its first step waits for the test.
    private async Task<MirrorJob> StartPausedAsync(Disk disk)
    {
        MirrorJob job = await disk.StartMirrorAsync("/copy", create: new NewImage { Format = "qcow2" });
        job.Pause();
        return job;
    }

    private async Task<Disk> CreateAsync()
    {
        Disk disk = await Machine.CreateAsync("/disk", Length);
        await disk.WriteAsync(0, GuestStamp.Create(0, Length, writer: 1));
        return disk;
    }
}
