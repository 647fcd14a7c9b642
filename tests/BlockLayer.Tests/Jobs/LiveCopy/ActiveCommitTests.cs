using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Simulation;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Jobs;

/// <summary>Commits of a disk's newest image, on qcow2 files in memory: base (raw or qcow2) &lt;- middle &lt;- top.</summary>
public class ActiveCommitTests
{
    private const int Unit = 64 * 1024;
    private const int Length = 16 * Unit;

    private readonly SimulationScheduler _scheduler = new(1);
    private readonly BlockEnvironment _environment;

    public ActiveCommitTests() => _environment = TestEnvironment.Of(_scheduler);

    [Theory]
    [InlineData(null)]
    [InlineData("/middle")]
    public void The_disk_goes_over_to_its_base_and_guests_go_on_there(string? basis)
        => Run(async disk =>
        {
            byte[] expected = await ReadAllAsync(disk);
            ActiveCommitJob job = await StartReadyAsync(disk, basis);
            Assert.Equal("commit", job.Kind);
            await WriteAsync(disk, expected, unit: 5, writer: 7);
            job.Complete();
            JobResult result = await job.Completion;
            Assert.True(result.Outcome == JobOutcome.Completed, result.Error?.ToString());
            Assert.Equal(basis is null ? ["/base"] : ["/middle", "/base"], disk.Chain.Select(image => image.Path));
            Assert.Equal(basis is null ? ["/base"] : ["/middle", "/base"], result.Files.Needed);
            Assert.Equal([basis ?? "/base"], result.Files.Changed);
            Assert.Equal(["/top"], result.Files.Unneeded);
            Assert.Equal(basis is null ? ["/middle"] : [], result.Files.Invalid);
            await WriteAsync(disk, expected, unit: 15, writer: 8);
            Assert.Equal(expected, await ReadAllAsync(disk));
            await disk.FlushAsync();
        });

    [Fact]
    public void A_soft_cancel_keeps_the_newest_image_for_what_comes()
        => Run(async disk =>
        {
            byte[] expected = await ReadAllAsync(disk);
            ActiveCommitJob job = await StartReadyAsync(disk);
            job.Cancel();
            JobResult result = await job.Completion;
            Assert.True(result.Outcome == JobOutcome.Completed, result.Error?.ToString());
            Assert.Equal(["/top", "/middle", "/base"], disk.Chain.Select(image => image.Path));
            Assert.Equal(expected, (await ReadAllAsync(disk.Chain[2]))[..expected.Length]);
            Assert.True(disk.Chain[2].IsReadOnly);
            await WriteAsync(disk, expected, unit: 5, writer: 7);
            Assert.NotEqual(expected, await ReadAllAsync(disk.Chain[2]));
            Assert.Equal(expected, await ReadAllAsync(disk));
        });

    [Fact]
    public void After_a_hard_cancel_the_chain_reads_as_before_and_the_commit_can_be_run_again()
        => Run(async disk =>
        {
            byte[] expected = await ReadAllAsync(disk);
            ActiveCommitJob job = await disk.StartCommitAsync(new ActiveCommitOptions { BytesPerSecond = 3 * Unit, Granularity = Unit });
            await Task.Delay(TimeSpan.FromSeconds(2), _scheduler.Time);
            Assert.InRange(job.CopiedBytes, 1, 7 * Unit);
            job.Cancel(force: true);
            Assert.Equal(JobOutcome.Cancelled, (await job.Completion).Outcome);
            Assert.Equal(expected, await ReadAllAsync(disk));
            await WriteAsync(disk, expected, unit: 5, writer: 7);
            job = await StartReadyAsync(disk);
            job.Complete();
            Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
            Assert.Equal(expected, await ReadAllAsync(disk));
        });

    [Fact]
    public void What_lies_above_a_commit_in_progress_is_nobody_elses()
        => Run(async disk =>
        {
            ActiveCommitJob job = await StartReadyAsync(disk);
            Assert.All(disk.Chain.SkipLast(1), image => Assert.NotNull(image.BackingEdge?.FrozenBy));
            await RefusesAsync(() => disk.StartPullAsync().AsTask(), BlockErrorKind.Conflict);
            await RefusesAsync(() => disk.StartCommitAsync(new ActiveCommitOptions()).AsTask(), BlockErrorKind.Conflict);
            await RefusesAsync(() => disk.ResizeAsync(2 * Length).AsTask(), BlockErrorKind.Conflict);
            job.Cancel(force: true);
            await job.Completion;
            await RefusesAsync(() => disk.StartCommitAsync(new ActiveCommitOptions { BaseName = "/top" }).AsTask(), BlockErrorKind.NotFound);
            await disk.ResizeAsync(2 * Length);
        });

    private static async Task RefusesAsync(Func<Task> start, BlockErrorKind kind)
        => Assert.Equal(kind, (await Assert.ThrowsAsync<BlockLayerException>(start)).Kind);

    private static async Task<byte[]> ReadAllAsync(BlockNode node)
    {
        byte[] all = new byte[node.Length];
        await node.ReadAsync(0, all);
        return all;
    }

    private static Task<byte[]> ReadAllAsync(Disk disk) => ReadAllAsync(disk.Root);

    private static async Task WriteAsync(Disk disk, byte[] expected, int unit, int writer)
    {
        byte[] content = SectorStamp.Of(unit * Unit, Unit, writer);
        content.CopyTo(expected, unit * Unit);
        await disk.WriteAsync(unit * Unit, content);
    }

    private async Task<ActiveCommitJob> StartReadyAsync(Disk disk, string? basis = null)
    {
        ActiveCommitJob job = await disk.StartCommitAsync(new ActiveCommitOptions { BaseName = basis });
        await job.WhenReadyAsync();
        return job;
    }

    private void Run(Func<Disk, Task> test)
        => _scheduler.Run(async () =>
        {
            await using Disk disk = await CreateAsync();
            await test(disk);
        });

    // The base is shorter than the rest.
    private async Task<Disk> CreateAsync()
    {
        var options = new DiskOptions { Environment = _environment };
        await using (Disk lowest = await Disk.CreateAsync("/base", new NewImage { Format = "qcow2", Length = 12 * Unit }, options))
        {
            await lowest.WriteAsync(0, SectorStamp.Of(0, 8 * Unit, 1));
        }

        await using (Disk middle = await Disk.CreateAsync("/middle", Over("base"), options))
        {
            await middle.WriteAsync(4 * Unit, SectorStamp.Of(4 * Unit, 2 * Unit, 2));
            await middle.WriteZeroesAsync(6 * Unit, Unit);
        }

        Disk disk = await Disk.CreateAsync("/top", Over("middle"), options);
        await disk.WriteAsync((8 * Unit) + 512, SectorStamp.Of((8 * Unit) + 512, Unit, 3));
        await disk.WriteAsync(13 * Unit, SectorStamp.Of(13 * Unit, Unit, 3));
        return disk;
    }

    private static NewImage Over(string backing)
        => new() { Format = "qcow2", Length = Length, Backing = new BackingReference(backing, "qcow2") };
}
