using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Simulation;
using Xunit;
using static BlockLayer.Libvirt.Tests.Streams.StreamRig;

namespace BlockLayer.Libvirt.Tests.Streams;

/// <summary>QEMU's sketch of 2011: a copy is started, asked about and cancelled by its handle, and tells its end to callbacks.</summary>
public class BackgroundCopyTests
{
    [Theory]
    [InlineData(null, "top.img")]
    [InlineData(2, "top.img base.img")]
    [InlineData(1, "top.img mid.img base.img")]
    public void A_copy_fills_the_image_with_what_the_base_does_not_provide(int? basis, string chain) => Run(async rig =>
    {
        Disk disk = rig.World.Disk.Open!;
        var told = new List<int>();
        BlockNode? @base = basis is { } index ? disk.Chain[index] : null;
        BackgroundCopy copy = await BackgroundCopyApi.StartAsync(disk.Root, @base, (_, result) => told.Add(result));
        await rig.World.WriteAsync(30, 9);
        Assert.Equal(JobOutcome.Completed, (await copy.Completion).Outcome);
        Assert.Equal([0], told);
        Assert.Equal(new BackgroundCopyStatus(DiskLength, DiskLength, 0), BackgroundCopyApi.GetStatus(copy));
        Assert.Equal(chain, rig.World.Describe());
        await rig.World.AssertContentAsync();
    });

    [Fact]
    public void A_cancel_returns_at_once_and_its_callback_comes_when_the_copy_has_stopped() => Run(async rig =>
    {
        Disk disk = rig.World.Disk.Open!;
        StorageBreakpoint held = rig.BreakAtBase();
        var told = new List<string>();
        BackgroundCopy copy = await BackgroundCopyApi.StartAsync(disk.Root, null, (_, result) => told.Add($"start {result}"));
        await held.ReachedAsync();
        BackgroundCopyApi.Cancel(copy, (_, result) => told.Add($"first {result}"));
        BackgroundCopyApi.Cancel(copy);
        BackgroundCopyApi.Cancel(copy, (_, result) => told.Add($"second {result}"));
        await rig.World.Machine.PassAsync(TimeSpan.FromMinutes(1));
        Assert.Empty(told);
        Assert.Null(BackgroundCopyApi.GetStatus(copy).Result);
        held.Continue();
        await copy.Completion;
        Assert.Equal(["start -125", "first -125", "second -125"], told);
        Assert.Equal(-125, BackgroundCopyApi.GetStatus(copy).Result);
        Assert.Equal("top.img mid.img base.img", rig.World.Describe());
    });

    [Fact]
    public void A_cancel_of_what_is_over_is_told_how_it_ended() => Run(async rig =>
    {
        BackgroundCopy copy = await BackgroundCopyApi.StartAsync(rig.World.Disk.Open!.Root, null, callback: null);
        await copy.Completion;
        int? told = null;
        BackgroundCopyApi.Cancel(copy, (which, result) => told = which == copy ? result : null);
        Assert.Equal(0, told);
        Assert.Equal(JobOutcome.Completed, (await BackgroundCopyApi.CancelAsync(copy)).Outcome);
    });

    [Fact]
    public void A_cancel_that_comes_when_the_header_is_written_is_too_late() => Run(async rig =>
    {
        StorageBreakpoint header = rig.BreakAtHeader();
        BackgroundCopy copy = await BackgroundCopyApi.StartAsync(rig.World.Disk.Open!.Root, null, callback: null);
        await header.ReachedAsync();
        var told = new List<int>();
        BackgroundCopyApi.Cancel(copy, (_, result) => told.Add(result));
        header.Continue();
        await copy.Completion;
        Assert.Equal([0], told);
        Assert.Equal("top.img", rig.World.Describe());
    });

    [Theory]
    [InlineData(BlockErrorKind.Io, -5)]
    [InlineData(BlockErrorKind.NoSpace, -28)]
    public void A_failure_is_a_negative_errno_and_the_chain_is_as_it_was(BlockErrorKind kind, int expected) => Run(async rig =>
    {
        StorageBreakpoint held = rig.BreakAt(Top, StorageOperations.Write);
        var told = new List<int>();
        BackgroundCopy copy = await BackgroundCopyApi.StartAsync(rig.World.Disk.Open!.Root, null, (_, result) => told.Add(result));
        await held.ReachedAsync();
        held.Fail(kind);
        Assert.Equal(kind, ((BlockLayerException)(await copy.Completion).Error!).Kind);
        Assert.Equal([expected], told);
        Assert.Equal("top.img mid.img base.img", rig.World.Describe());
        await rig.World.AssertContentAsync();
    });

    [Fact]
    public void The_callback_may_start_the_next_copy() => Run(async rig =>
    {
        Disk disk = rig.World.Disk.Open!;
        Task<BackgroundCopy>? next = null;
        BackgroundCopy copy = await BackgroundCopyApi.StartAsync(disk.Root, disk.Chain[2], (_, _) => next = BackgroundCopyApi.StartAsync(disk.Root, null, callback: null).AsTask());
        await copy.Completion;
        await (await next!).Completion;
        Assert.Equal("top.img", rig.World.Describe());
    });

    [Fact]
    public void What_a_callback_throws_is_told_by_the_end() => Run(async rig =>
    {
        BackgroundCopy copy = await BackgroundCopyApi.StartAsync(rig.World.Disk.Open!.Root, null, (_, _) => throw new InvalidOperationException("planned"));
        JobResult result = await copy.Completion;
        Assert.Equal((JobOutcome.Completed, "planned"), (result.Outcome, result.Error!.Message));
    });

    [Fact]
    public void A_second_copy_and_a_base_of_another_chain_are_refused_and_tell_no_callback() => Run(async rig =>
    {
        Disk disk = rig.World.Disk.Open!;
        StorageBreakpoint held = rig.BreakAtBase();
        BackgroundCopy copy = await BackgroundCopyApi.StartAsync(disk.Root, null, callback: null);
        await held.ReachedAsync();
        int told = 0;
        Task<BackgroundCopy> second = BackgroundCopyApi.StartAsync(disk.Root, null, (_, _) => told++).AsTask();
        held.Continue();
        var busy = await Assert.ThrowsAsync<BlockLayerException>(() => second);
        await copy.Completion;
        Domain other = await rig.AddDomainAsync("other", ("vda", "/vm/other.img"));
        BlockNode foreign = other.FindDisk("vda").Open!.Chain[1];
        var missing = await Assert.ThrowsAsync<BlockLayerException>(() => BackgroundCopyApi.StartAsync(disk.Root, foreign, (_, _) => told++).AsTask());
        Assert.Equal((BlockErrorKind.Conflict, BlockErrorKind.NotFound, 0), (busy.Kind, missing.Kind, told));
    });
}
