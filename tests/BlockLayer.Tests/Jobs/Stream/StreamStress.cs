using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Primitives;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Jobs;

/// <summary>Real images, real threads: guests hammer a disk while pull after pull is started, cancelled and started again on it.</summary>
public class StreamStress
{
    private const int Length = 6 * 1024 * 1024;
    private const int BaseWriter = 1;

    [Theory]
    [InlineData("qcow2", "4096")]
    [InlineData("qcow2", "65536")]
    [InlineData("qed", "4096")]
    public async Task Guests_on_four_threads_and_a_pull_agree_on_every_byte(string format, string clusterSize)
    {
        var environment = new BlockEnvironment { Files = new MemoryStorageProvider(), Work = ThreadPoolWorkScheduler.Instance, Time = TimeProvider.System };
        await CreateBaseAsync(environment);
        var image = new NewImage
        {
            Format = format,
            Length = Length,
            Backing = new BackingReference("base", "raw"),
            Options = new Dictionary<string, string> { ["cluster_size"] = clusterSize },
        };
        await using Disk disk = await Disk.CreateAsync("/vm/top", image, new DiskOptions { Environment = environment });
        var guests = new StressGuests(disk.Root, BaseWriter);

        await Task.WhenAll(Task.Run(() => PullAsync(disk)), guests.RunAsync(threads: 4, requests: 250));

        Assert.Single(disk.Chain);
        await guests.CheckAsync(new ByteRange(0, Length));
        ImageCheckReport report = await ImageChecker.CheckAsync(disk.Root);
        Assert.True(report.Corruptions == 0, string.Join(Environment.NewLine, report.Findings));
    }

    // The first pulls are cancelled wherever they are; the fourth is left to complete.
    private static async Task PullAsync(Disk disk)
    {
        for (int pull = 1; ; pull++)
        {
            StreamJob job = await disk.StartPullAsync(new StreamOptions { Id = $"pull {pull}", GuestsFirst = int.MaxValue });
            if (pull < 4)
            {
                job.TryCancel();
            }

            JobResult result = await job.Completion;
            Assert.True(result.Outcome is JobOutcome.Completed or JobOutcome.Cancelled, result.Error?.ToString());
            if (result.Outcome == JobOutcome.Completed)
            {
                return;
            }
        }
    }

    private static async Task CreateBaseAsync(BlockEnvironment environment)
    {
        var image = new NewImage { Format = "raw", Length = Length };
        await using Disk basis = await Disk.CreateAsync("/vm/base", image, new DiskOptions { Environment = environment });
        await basis.WriteAsync(0, SectorStamp.Of(0, Length, BaseWriter));
    }
}
