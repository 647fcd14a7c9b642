using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Bitmaps;

/// <summary>Bitmaps that are stored with an image: what they show, and what survives.</summary>
public sealed class Qcow2BitmapTests
{
    private const int ClusterSize = BitmapWorld.ClusterSize;
    private const int Length = BitmapWorld.Length;

    private readonly BitmapWorld _world = new();

    [Fact]
    public async Task What_was_written_while_it_was_enabled_is_shown_after_the_image_was_closed()
    {
        await _world.CreateAsync();
        await _world.ChangeAsync(static async node =>
        {
            await ImageBitmaps.AddAsync(node, "on");
            await ImageBitmaps.AddAsync(node, "off", new NewBitmap { Granularity = 512, State = BitmapState.Disabled });
        });
        await _world.ChangeAsync(static async node =>
        {
            await node.WriteAsync(5000, new byte[] { 1 });
            await node.WriteZeroesAsync(5 * ClusterSize, 10);
            await node.DiscardAsync(8 * ClusterSize, 2 * ClusterSize);
            await node.PopulateAsync(20 * ClusterSize, new byte[ClusterSize]); // changes nothing that a guest sees
        });

        await using Qcow2Node again = await _world.OpenAsync(NodeAccess.ReadOnly);
        Assert.Equal([new("on", ClusterSize) { IsEnabled = true }, new("off", 512)], ImageBitmaps.List(again));
        Assert.Equal(
            [new(ClusterSize, ClusterSize), new(5 * ClusterSize, ClusterSize), new(8 * ClusterSize, 2 * ClusterSize)], await BitmapWorld.RangesAsync(again, "on"));
        Assert.Empty(await BitmapWorld.RangesAsync(again, "off"));
        await BitmapWorld.AssertCleanAsync(again);
    }

    [Fact]
    public async Task While_the_image_is_written_the_bits_are_right_and_the_file_says_that_they_are_not_all_there()
    {
        await _world.CreateAsync();
        await _world.ChangeAsync(static async node =>
        {
            await ImageBitmaps.AddAsync(node, "on");
            await ImageBitmaps.AddAsync(node, "off", new NewBitmap { State = BitmapState.Disabled });
        });
        byte[] crashed;
        await using (Qcow2Node node = await _world.OpenAsync())
        {
            await node.WriteAsync(0, new byte[] { 1 });
            Assert.Equal([new(0, ClusterSize)], await BitmapWorld.RangesAsync(node, "on"));
            Assert.Equal([true, false], ImageBitmaps.List(node).Select(static bitmap => bitmap.IsInUse));
            crashed = await _world.ReadFileAsync();
        }

        await _world.WriteFileAsync(crashed);
        await _world.ChangeAsync(static async node =>
        {
            ImageBitmap on = ImageBitmaps.List(node)[0];
            Assert.Equal("it was in use when its writer stopped, so nobody knows which writes it lacks", on.Problem);
            foreach (Func<ValueTask> use in new Func<ValueTask>[]
            {
                () => ImageBitmaps.ClearAsync(node, "on"),
                () => ImageBitmaps.EnableAsync(node, "on"),
                () => ImageBitmaps.DisableAsync(node, "on"),
                () => ImageBitmaps.MergeAsync(node, "on", "off"),
                () => ImageBitmaps.MergeAsync(node, "off", "on"),
            })
            {
                BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(async () => await use());
                Assert.Equal(BlockErrorKind.Corrupt, error.Kind);
            }

            await node.WriteAsync(ClusterSize, new byte[] { 1 }); // does not make it any better
        });
        await _world.ChangeAsync(static async node =>
        {
            Assert.True(ImageBitmaps.List(node)[0].IsInUse);
            await ImageBitmaps.RemoveAsync(node, "on");
            Assert.Equal(["off"], ImageBitmaps.List(node).Select(static bitmap => bitmap.Name));
        });
        await using Qcow2Node again = await _world.OpenAsync(NodeAccess.ReadOnly);
        await BitmapWorld.AssertCleanAsync(again);
    }

    [Fact]
    public async Task Enabling_disabling_clearing_and_merging_work_while_guests_use_the_disk()
    {
        await _world.CreateAsync();
        await using (Qcow2Node node = await _world.OpenAsync())
        {
            await node.WriteAsync(0, new byte[] { 1 });
            await ImageBitmaps.AddAsync(node, "a", new NewBitmap { Granularity = 8192 });
            await node.WriteAsync(10 * ClusterSize, new byte[] { 1 });
            await ImageBitmaps.DisableAsync(node, "a");
            await node.WriteAsync(20 * ClusterSize, new byte[] { 1 });
            await ImageBitmaps.AddAsync(node, "b", new NewBitmap { Granularity = 512 });
            await node.WriteAsync(30 * ClusterSize, new byte[] { 1 });
            Assert.Equal([new(10 * ClusterSize, 8192)], await BitmapWorld.RangesAsync(node, "a"));
            Assert.Equal([new(30 * ClusterSize, 512)], await BitmapWorld.RangesAsync(node, "b"));

            await ImageBitmaps.MergeAsync(node, "a", "b");
            Assert.Equal([new(10 * ClusterSize, 8192), new(30 * ClusterSize, 8192)], await BitmapWorld.RangesAsync(node, "a"));
            await ImageBitmaps.ClearAsync(node, "b");
            await ImageBitmaps.EnableAsync(node, "a");
            await node.WriteAsync(40 * ClusterSize, new byte[] { 1 });
            Assert.Equal([new(40 * ClusterSize, 512)], await BitmapWorld.RangesAsync(node, "b"));
        }

        await using Qcow2Node again = await _world.OpenAsync(NodeAccess.ReadOnly);
        Assert.Equal([new(10 * ClusterSize, 8192), new(30 * ClusterSize, 8192), new(40 * ClusterSize, 8192)], await BitmapWorld.RangesAsync(again, "a"));
        await BitmapWorld.AssertCleanAsync(again);
    }

    [Fact]
    public async Task Growing_adds_clean_bits_and_shrinking_forgets_what_is_cut_off()
    {
        await _world.CreateAsync();
        await _world.ChangeAsync(static async node =>
        {
            await ImageBitmaps.AddAsync(node, "on");
            await ImageBitmaps.AddAsync(node, "off", new NewBitmap { Granularity = 512, State = BitmapState.Disabled });
            await node.WriteAsync(Length - 1, new byte[] { 1 });
            await ImageBitmaps.MergeAsync(node, "off", "on");
            await node.ResizeAsync(1000 * Length); // more clusters of bits than before
            await node.WriteAsync(999 * Length, new byte[] { 1 });
        });
        await _world.ChangeAsync(static async node =>
        {
            Assert.Equal([new(Length - ClusterSize, ClusterSize), new(999L * Length, ClusterSize)], await BitmapWorld.RangesAsync(node, "on"));
            Assert.Equal([new(Length - ClusterSize, ClusterSize)], await BitmapWorld.RangesAsync(node, "off"));
            await node.ResizeAsync(Length - 100, new ResizeOptions { AllowShrink = true });
        });
        await using Qcow2Node again = await _world.OpenAsync(NodeAccess.ReadOnly);
        Assert.Equal([new(Length - ClusterSize, ClusterSize - 100)], await BitmapWorld.RangesAsync(again, "on"));
        Assert.Equal([new(Length - ClusterSize, ClusterSize - 100)], await BitmapWorld.RangesAsync(again, "off"));
        await BitmapWorld.AssertCleanAsync(again);
    }

    [Fact]
    public async Task A_bitmap_that_is_inconsistent_forbids_a_resize_and_any_bitmap_a_switch_to_a_snapshot()
    {
        await _world.CreateAsync();
        await _world.ChangeAsync(static async node =>
        {
            await node.CreateSnapshotAsync("old", CancellationToken.None);
            await ImageBitmaps.AddAsync(node, "on");
            BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(() => node.ApplySnapshotAsync("old", CancellationToken.None).AsTask());
            Assert.Equal("'disk' has the bitmap 'on', which would not tell what switching to snapshot 'old' changed; remove it first.", error.Message);
        });
        await _world.EditDirectoryAsync(static entry => entry.WithInUse(true));

        await using Qcow2Node node = await _world.OpenAsync();
        BlockLayerException refused = await Assert.ThrowsAsync<BlockLayerException>(() => node.ResizeAsync(2 * Length).AsTask());
        Assert.Equal(
            "'disk' cannot be resized while it has the bitmap 'on', which cannot be used: it was in use when its writer stopped, so nobody knows which writes it lacks. Remove it first.",
            refused.Message);
        Assert.Equal(Length, node.Length);
    }

    [Fact]
    public async Task A_snapshot_and_the_bitmaps_leave_each_other_alone()
    {
        await _world.CreateAsync();
        await _world.ChangeAsync(static async node =>
        {
            await ImageBitmaps.AddAsync(node, "on");
            await node.WriteAsync(0, new byte[] { 1 });
        });
        await _world.ChangeAsync(static node => node.CreateSnapshotAsync("one", CancellationToken.None).AsTask()); // writes nothing, closes without a write
        await _world.ChangeAsync(static async node =>
        {
            Assert.Equal([new(0, ClusterSize)], await BitmapWorld.RangesAsync(node, "on"));
            await node.WriteAsync(ClusterSize, new byte[] { 1 });
            await node.DeleteSnapshotAsync("one", CancellationToken.None);
        });
        await using Qcow2Node again = await _world.OpenAsync(NodeAccess.ReadOnly);
        Assert.Equal([new(0, 2 * ClusterSize)], await BitmapWorld.RangesAsync(again, "on"));
        await BitmapWorld.AssertCleanAsync(again);
    }

    [Fact]
    public async Task An_image_that_a_program_without_bitmaps_has_written_has_none_and_gets_new_ones()
    {
        await _world.CreateAsync();
        await _world.ChangeAsync(static node => ImageBitmaps.AddAsync(node, "on").AsTask());
        byte[] file = await _world.ReadFileAsync();
        (Qcow2Header.Parse(file) with { Autoclear = AutoclearFeatures.None }).WriteTo(file);
        await _world.WriteFileAsync(file);

        await _world.ChangeAsync(static async node =>
        {
            Assert.Empty(ImageBitmaps.List(node));
            await ImageBitmaps.AddAsync(node, "on");
            await node.WriteAsync(0, new byte[] { 1 });
        });

        await using Qcow2Node again = await _world.OpenAsync(NodeAccess.ReadOnly);
        Assert.Equal([new(0, ClusterSize)], await BitmapWorld.RangesAsync(again, "on"));
    }

    [Fact]
    public async Task The_last_bitmap_takes_directory_extension_and_room_with_it()
    {
        await _world.CreateAsync();
        byte[] before = await _world.ReadFileAsync();
        await _world.ChangeAsync(static node => ImageBitmaps.AddAsync(node, "on").AsTask());
        await _world.ChangeAsync(static node => ImageBitmaps.RemoveAsync(node, "on").AsTask());

        byte[] after = await _world.ReadFileAsync();

        Qcow2Header header = Qcow2Header.Parse(after);
        Assert.Null(header.Extensions.Find(HeaderExtensionType.Bitmaps));
        Assert.Equal(before.AsSpan(0, header.AreaLength), after.AsSpan(0, header.AreaLength)); // feature names were moved aside and back
        await using Qcow2Node again = await _world.OpenAsync(NodeAccess.ReadOnly);
        await BitmapWorld.AssertCleanAsync(again);
    }

    [Fact]
    public async Task A_full_file_system_keeps_what_was_stored_and_says_that_the_bits_are_incomplete()
    {
        var world = new BitmapWorld(capacity: 200 * ClusterSize);
        await world.CreateAsync(new Qcow2CreateOptions { Length = 4096L * ClusterSize, ClusterSize = ClusterSize });
        Qcow2Node node = await world.OpenAsync();
        await ImageBitmaps.AddAsync(node, "on");
        await Assert.ThrowsAsync<BlockLayerException>(async () =>
        {
            for (long at = 0; ; at += ClusterSize)
            {
                await node.WriteAsync(at, Pattern.Of(at, ClusterSize, writer: 1));
            }
        });

        BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(() => node.DisposeAsync().AsTask());

        Assert.StartsWith("The bitmaps of 'disk' could not be stored, so those that are enabled are inconsistent now: ", error.Message, StringComparison.Ordinal);
        Assert.Equal(BlockErrorKind.NoSpace, error.Kind);
        await using Qcow2Node again = await world.OpenAsync(NodeAccess.ReadOnly);
        Assert.NotNull(ImageBitmaps.List(again)[0].Problem);
    }

    [Fact]
    public async Task What_a_bitmap_cannot_be_is_refused_and_changes_nothing()
    {
        await _world.CreateAsync();
        byte[] before = await _world.ReadFileAsync();
        await _world.ChangeAsync(static async node =>
        {
            await Assert.ThrowsAsync<ArgumentException>(() => ImageBitmaps.AddAsync(node, "").AsTask());
            await Assert.ThrowsAsync<ArgumentException>(() => ImageBitmaps.AddAsync(node, new string('ä', 512)).AsTask());
            foreach (long granularity in new[] { 0, 256, 5000, 1L << 32, long.MinValue })
            {
                await Assert.ThrowsAsync<ArgumentException>(() => ImageBitmaps.AddAsync(node, "x", new NewBitmap { Granularity = granularity }).AsTask());
            }

            Assert.Equal(BlockErrorKind.NotFound, (await Assert.ThrowsAsync<BlockLayerException>(() => ImageBitmaps.RemoveAsync(node, "x").AsTask())).Kind);
        });
        Assert.Equal(before, await _world.ReadFileAsync());
        var version2 = new BitmapWorld();
        await version2.CreateAsync(new Qcow2CreateOptions { Length = Length, Version = 2 });
        await using Qcow2Node old = await version2.OpenAsync();
        BlockLayerException refused = await Assert.ThrowsAsync<BlockLayerException>(() => ImageBitmaps.AddAsync(old, "x").AsTask());
        Assert.Equal("'disk' is a version 2 image, which cannot say whether bitmaps are up to date; bitmaps need version 3.", refused.Message);
        await using Qcow2Node reader = await _world.OpenAsync(NodeAccess.ReadOnly);
        Assert.Equal(BlockErrorKind.ReadOnly, (await Assert.ThrowsAsync<BlockLayerException>(() => ImageBitmaps.AddAsync(reader, "x").AsTask())).Kind);
    }
}
