using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.TestKit;
using BlockLayer.Tests.Images.Hostile;
using Xunit;

namespace BlockLayer.Tests.Images;

public sealed class DiskPullTests
{
    private const int Length = 4 << 20;

    private readonly MemoryWorld _world = new();

    [Fact]
    public async Task A_pull_runs_to_its_end_while_the_guest_writes()
    {
        await using Disk disk = await OpenChainAsync();
        StreamJob pull = await disk.StartPullAsync(new StreamOptions { BaseName = "/template" });
        byte[] written = Pattern.Of(0, 1000, writer: 9);
        await disk.WriteAsync(100, written);
        JobResult result = await pull.Completion;
        Assert.Equal((JobOutcome.Completed, new JobProgress(Length, Length)), (result.Outcome, result.Progress));
        Assert.Equal(["/current", "/template"], disk.Chain.Select(image => image.Path));
        byte[] read = new byte[1000];
        await disk.ReadAsync(100, read);
        Assert.Equal(written, read);
    }

    [Fact]
    [CorpusCase("5 dispose while a job runs")]
    public async Task Closing_the_disk_ends_a_running_and_a_paused_pull()
    {
        StreamJob running;
        await using (Disk disk = await OpenChainAsync())
        {
            running = await disk.StartPullAsync(new StreamOptions { BytesPerSecond = 1 });
        }

        Assert.Equal(JobOutcome.Cancelled, (await running.Completion).Outcome);

        StreamJob paused;
        await using (Disk disk = await Disk.OpenAsync("/current", _world.As("qcow2")))
        {
            paused = await disk.StartPullAsync(new StreamOptions { BytesPerSecond = 1 });
            paused.Pause();
        }

        Assert.Equal(JobOutcome.Cancelled, (await paused.Completion).Outcome);
        await using Disk again = await Disk.OpenAsync("/current", _world.As("qcow2"));
        Assert.Equal(3, again.Chain.Count);
    }

    [Fact]
    public async Task A_second_pull_of_the_same_part_is_refused()
    {
        await using Disk disk = await OpenChainAsync();
        StreamJob first = await disk.StartPullAsync(new StreamOptions { BytesPerSecond = 1 });
        BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(async () => await disk.StartPullAsync());
        Assert.Equal(BlockErrorKind.Conflict, error.Kind);
        first.BytesPerSecond = 0;
        Assert.Equal(JobOutcome.Completed, (await first.Completion).Outcome);
        Assert.Single(disk.Chain);
    }

    [Fact]
    public async Task A_read_only_disk_and_a_raw_disk_cannot_be_pulled()
    {
        await (await OpenChainAsync()).DisposeAsync();
        await using (Disk disk = await Disk.OpenAsync("/current", _world.As("qcow2", NodeAccess.ReadOnly)))
        {
            BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(async () => await disk.StartPullAsync());
            Assert.Equal(BlockErrorKind.ReadOnly, error.Kind);
        }

        await using Disk raw = await _world.CreateRawAsync("/raw", Length);
        BlockLayerException unsupported = await Assert.ThrowsAsync<BlockLayerException>(async () => await raw.StartPullAsync());
        Assert.Equal(BlockErrorKind.Unsupported, unsupported.Kind);
    }

    private async Task<Disk> OpenChainAsync()
    {
        await (await MakeAsync("template", backing: null, offset: 0, writer: 1)).DisposeAsync();
        await (await MakeAsync("intermediate", "template", offset: 1 << 20, writer: 2)).DisposeAsync();
        return await MakeAsync("current", "intermediate", offset: 3 << 20, writer: 3);
    }

    private async Task<Disk> MakeAsync(string name, string? backing, int offset, int writer)
    {
        Disk disk = await _world.CreateAsync($"/{name}", "qcow2", Length, backing is null ? null : new BackingReference(backing, "qcow2"));
        await disk.WriteAsync(offset, Pattern.Of(offset, 1 << 20, writer));
        return disk;
    }
}
