using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Simulation;
using BlockLayer.Storage;
using BlockLayer.Tests.Jobs;
using Xunit;

namespace BlockLayer.Tests.Images;

/// <summary>A disk that is closed ends the jobs on its chain, whoever started them.</summary>
public class DiskClosingTests
{
    public static TheoryData<string> Kinds => JobBench.Kinds;

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_job_that_was_started_by_itself_is_cancelled_and_holds_no_file(string kind)
    {
        var bench = new JobBench();
        bench.Run(async disk =>
        {
            BlockJob job = await bench.NewAsync(disk, kind, bytesPerSecond: 1);
            await job.StartAsync();
            await bench.Machine.PassAsync(TimeSpan.FromSeconds(1));
            await disk.DisposeAsync();
            Assert.True(job.Completion.IsCompleted);
            Assert.Equal(JobOutcome.Cancelled, (await job.Completion).Outcome);
            foreach (string file in (string[])["/disk", "/middle", "/base"])
            {
                await OpenAloneAsync(bench.Machine, file);
            }
        });
    }

    [Fact]
    public void A_job_that_was_made_for_an_image_of_the_chain_is_cancelled_too()
    {
        var bench = new JobBench();
        bench.Run(async disk =>
        {
            var job = new StreamJob(disk.Chain[0], new StreamOptions { BytesPerSecond = 1 });
            await job.StartAsync();
            await disk.DisposeAsync();
            Assert.Equal(JobOutcome.Cancelled, (await job.Completion).Outcome);
        });
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_job_that_comes_too_late_is_refused(string kind)
    {
        var bench = new JobBench();
        bench.Run(async disk =>
        {
            BlockJob job = await bench.NewAsync(disk, kind);
            await disk.DisposeAsync();
            ObjectDisposedException refusal = await Assert.ThrowsAsync<ObjectDisposedException>(() => job.StartAsync().AsTask());
            Assert.Equal("/disk", refusal.ObjectName);
            Assert.Equal(JobState.Null, job.State);
        });
    }

    // Nobody is left who holds it.
    private static async Task OpenAloneAsync(SimulatedMachine machine, string file)
        => await (await machine.Storage.OpenAsync(file, new StorageOpenOptions { Writable = true, Lock = ImageLock.Writer }, CancellationToken.None)).DisposeAsync();
}
