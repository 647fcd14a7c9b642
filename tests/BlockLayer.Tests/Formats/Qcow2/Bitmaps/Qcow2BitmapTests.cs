using System.Buffers.Binary;
using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Primitives;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Bitmaps;

/// <summary>Bitmaps that are stored with an image: what they show, what survives, and what becomes of images whose bitmaps are not as they should be.</summary>
public sealed class Qcow2BitmapTests
{
    private const int ClusterSize = 4096;
    private const int Length = 64 * ClusterSize;

    private readonly TestWorld _world = new();

    [Fact]
    public async Task What_was_written_while_it_was_enabled_is_shown_after_the_image_was_closed()
    {
        await CreateAsync();
        await ChangeAsync(static async node =>
        {
            await ImageBitmaps.AddAsync(node, "on");
            await ImageBitmaps.AddAsync(node, "off", new NewBitmap { Granularity = 512, State = BitmapState.Disabled });
        });
        await ChangeAsync(static async node =>
        {
            await node.WriteAsync(5000, new byte[] { 1 });
            await node.WriteZeroesAsync(5 * ClusterSize, 10);
            await node.DiscardAsync(8 * ClusterSize, 2 * ClusterSize);
            await node.PopulateAsync(20 * ClusterSize, new byte[ClusterSize]); // changes nothing that a guest sees
        });

        await using Qcow2Node again = await _world.OpenAsync("disk", NodeAccess.ReadOnly);
        Assert.Equal([new("on", ClusterSize) { IsEnabled = true }, new("off", 512)], ImageBitmaps.List(again));
        Assert.Equal(
            [new(ClusterSize, ClusterSize), new(5 * ClusterSize, ClusterSize), new(8 * ClusterSize, 2 * ClusterSize)], await RangesAsync(again, "on"));
        Assert.Empty(await RangesAsync(again, "off"));
        await AssertCleanAsync(again);
    }

    [Fact]
    public async Task While_the_image_is_written_the_bits_are_right_and_the_file_says_that_they_are_not_all_there()
    {
        await CreateAsync();
        await ChangeAsync(static async node =>
        {
            await ImageBitmaps.AddAsync(node, "on");
            await ImageBitmaps.AddAsync(node, "off", new NewBitmap { State = BitmapState.Disabled });
        });
        byte[] crashed;
        await using (Qcow2Node node = await _world.OpenAsync("disk"))
        {
            await node.WriteAsync(0, new byte[] { 1 });
            Assert.Equal([new(0, ClusterSize)], await RangesAsync(node, "on"));
            Assert.Equal([true, false], ImageBitmaps.List(node).Select(static bitmap => bitmap.IsInUse));
            crashed = await ReadFileAsync();
        }

        await WriteFileAsync(crashed);
        await ChangeAsync(static async node =>
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
        await ChangeAsync(static async node =>
        {
            Assert.True(ImageBitmaps.List(node)[0].IsInUse);
            await ImageBitmaps.RemoveAsync(node, "on");
            Assert.Equal(["off"], ImageBitmaps.List(node).Select(static bitmap => bitmap.Name));
        });
        await using Qcow2Node again = await _world.OpenAsync("disk", NodeAccess.ReadOnly);
        await AssertCleanAsync(again);
    }

    [Fact]
    public async Task Enabling_disabling_clearing_and_merging_work_while_guests_use_the_disk()
    {
        await CreateAsync();
        await using (Qcow2Node node = await _world.OpenAsync("disk"))
        {
            await node.WriteAsync(0, new byte[] { 1 });
            await ImageBitmaps.AddAsync(node, "a", new NewBitmap { Granularity = 8192 });
            await node.WriteAsync(10 * ClusterSize, new byte[] { 1 });
            await ImageBitmaps.DisableAsync(node, "a");
            await node.WriteAsync(20 * ClusterSize, new byte[] { 1 });
            await ImageBitmaps.AddAsync(node, "b", new NewBitmap { Granularity = 512 });
            await node.WriteAsync(30 * ClusterSize, new byte[] { 1 });
            Assert.Equal([new(10 * ClusterSize, 8192)], await RangesAsync(node, "a"));
            Assert.Equal([new(30 * ClusterSize, 512)], await RangesAsync(node, "b"));

            await ImageBitmaps.MergeAsync(node, "a", "b");
            Assert.Equal([new(10 * ClusterSize, 8192), new(30 * ClusterSize, 8192)], await RangesAsync(node, "a"));
            await ImageBitmaps.ClearAsync(node, "b");
            await ImageBitmaps.EnableAsync(node, "a");
            await node.WriteAsync(40 * ClusterSize, new byte[] { 1 });
            Assert.Equal([new(40 * ClusterSize, 512)], await RangesAsync(node, "b"));
        }

        await using Qcow2Node again = await _world.OpenAsync("disk", NodeAccess.ReadOnly);
        Assert.Equal([new(10 * ClusterSize, 8192), new(30 * ClusterSize, 8192), new(40 * ClusterSize, 8192)], await RangesAsync(again, "a"));
        await AssertCleanAsync(again);
    }

    [Fact]
    public async Task Growing_adds_clean_bits_and_shrinking_forgets_what_is_cut_off()
    {
        await CreateAsync();
        await ChangeAsync(static async node =>
        {
            await ImageBitmaps.AddAsync(node, "on");
            await ImageBitmaps.AddAsync(node, "off", new NewBitmap { Granularity = 512, State = BitmapState.Disabled });
            await node.WriteAsync(Length - 1, new byte[] { 1 });
            await ImageBitmaps.MergeAsync(node, "off", "on");
            await node.ResizeAsync(1000 * Length); // more clusters of bits than before
            await node.WriteAsync(999 * Length, new byte[] { 1 });
        });
        await ChangeAsync(static async node =>
        {
            Assert.Equal([new(Length - ClusterSize, ClusterSize), new(999L * Length, ClusterSize)], await RangesAsync(node, "on"));
            Assert.Equal([new(Length - ClusterSize, ClusterSize)], await RangesAsync(node, "off"));
            await node.ResizeAsync(Length - 100, new ResizeOptions { AllowShrink = true });
        });
        await using Qcow2Node again = await _world.OpenAsync("disk", NodeAccess.ReadOnly);
        Assert.Equal([new(Length - ClusterSize, ClusterSize - 100)], await RangesAsync(again, "on"));
        Assert.Equal([new(Length - ClusterSize, ClusterSize - 100)], await RangesAsync(again, "off"));
        await AssertCleanAsync(again);
    }

    [Fact]
    public async Task A_bitmap_that_is_inconsistent_forbids_a_resize_and_any_bitmap_a_switch_to_a_snapshot()
    {
        await CreateAsync();
        await ChangeAsync(static async node =>
        {
            await node.CreateSnapshotAsync("old", CancellationToken.None);
            await ImageBitmaps.AddAsync(node, "on");
            BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(() => node.ApplySnapshotAsync("old", CancellationToken.None).AsTask());
            Assert.Equal("'disk' has the bitmap 'on', which would not tell what switching to snapshot 'old' changed; remove it first.", error.Message);
        });
        await EditDirectoryAsync(static entry => entry.WithInUse(true));

        await using Qcow2Node node = await _world.OpenAsync("disk");
        BlockLayerException refused = await Assert.ThrowsAsync<BlockLayerException>(() => node.ResizeAsync(2 * Length).AsTask());
        Assert.Equal(
            "'disk' cannot be resized while it has the bitmap 'on', which cannot be used: it was in use when its writer stopped, so nobody knows which writes it lacks. Remove it first.",
            refused.Message);
        Assert.Equal(Length, node.Length);
    }

    [Fact]
    public async Task A_snapshot_and_the_bitmaps_leave_each_other_alone()
    {
        await CreateAsync();
        await ChangeAsync(static async node =>
        {
            await ImageBitmaps.AddAsync(node, "on");
            await node.WriteAsync(0, new byte[] { 1 });
        });
        await ChangeAsync(static node => node.CreateSnapshotAsync("one", CancellationToken.None).AsTask()); // writes nothing, closes without a write
        await ChangeAsync(static async node =>
        {
            Assert.Equal([new(0, ClusterSize)], await RangesAsync(node, "on"));
            await node.WriteAsync(ClusterSize, new byte[] { 1 });
            await node.DeleteSnapshotAsync("one", CancellationToken.None);
        });
        await using Qcow2Node again = await _world.OpenAsync("disk", NodeAccess.ReadOnly);
        Assert.Equal([new(0, 2 * ClusterSize)], await RangesAsync(again, "on"));
        await AssertCleanAsync(again);
    }

    public static TheoryData<string> Strangers => ["an unknown type", "a reserved flag", "extra data that must be understood", "a granularity of 256", "a table behind the end"];

    [Theory]
    [MemberData(nameof(Strangers))]
    public async Task A_bitmap_of_a_kind_not_known_here_is_kept_and_says_when_it_became_untrue(string kind)
    {
        await CreateAsync();
        await ChangeAsync(static node => ImageBitmaps.AddAsync(node, "strange").AsTask());
        BitmapDirectoryEntry made = await EditDirectoryAsync(entry => kind switch
        {
            "an unknown type" => entry with { Type = 7 },
            "a reserved flag" => entry with { Flags = entry.Flags | 8 },
            "extra data that must be understood" => entry with { ExtraLength = 5, ExtraData = new byte[] { 1, 2, 3, 4, 5 } },
            "a granularity of 256" => entry with { GranularityBits = 8 },
            _ => entry with { TableOffset = new HostOffset(1L << 40) },
        });
        await ChangeAsync(static async node =>
        {
            Assert.NotNull(ImageBitmaps.List(node)[0].Problem);
            BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(() => RangesAsync(node, "strange"));
            Assert.Equal(BlockErrorKind.Unsupported, error.Kind);
            await ImageBitmaps.AddAsync(node, "known");
        });
        Assert.Equal(Comparable(made), Comparable((await DirectoryAsync()).Entries[0]));

        await ChangeAsync(static node => node.WriteAsync(0, new byte[] { 1 }).AsTask());

        BitmapDirectory after = await DirectoryAsync();
        Assert.Equal(Comparable(made.WithInUse(true)), Comparable(after.Entries[0])); // it is enabled, and lacks our write
        Assert.False(after.Entries[1].IsInUse);
        await ChangeAsync(static node => ImageBitmaps.RemoveAsync(node, "strange").AsTask());
        Assert.Equal("known", Assert.Single((await DirectoryAsync()).Entries).Name);
    }

    [Fact]
    public async Task Extra_data_that_may_be_ignored_is_kept_and_the_bitmap_used()
    {
        await CreateAsync();
        await ChangeAsync(static node => ImageBitmaps.AddAsync(node, "on").AsTask());
        await EditDirectoryAsync(static entry => entry with { ExtraLength = 3, ExtraData = new byte[] { 7, 8, 9 }, Flags = entry.Flags | 4 });

        await ChangeAsync(static node => node.WriteAsync(0, new byte[] { 1 }).AsTask());

        BitmapDirectoryEntry entry = Assert.Single((await DirectoryAsync()).Entries);
        Assert.Equal((6u, "7,8,9"), (entry.Flags, string.Join(',', entry.ExtraData.ToArray())));
        await using Qcow2Node again = await _world.OpenAsync("disk", NodeAccess.ReadOnly);
        Assert.Equal([new(0, ClusterSize)], await RangesAsync(again, "on"));
    }

    [Theory]
    [InlineData(8, 0x00, "The bitmaps extension says that 1 bitmaps are described by")]   // directory_size
    [InlineData(3, 0x02, "The bitmap directory has 1 entries; the header says")]           // nb_bitmaps
    [InlineData(17, 0x7f, "The bitmaps extension says that 1 bitmaps are described by")]   // directory_offset
    public async Task Bitmaps_that_cannot_be_located_leave_the_disk_readable_and_forbid_writing(int at, byte value, string sentence)
    {
        await CreateAsync();
        await ChangeAsync(static node => ImageBitmaps.AddAsync(node, "on").AsTask());
        byte[] file = await ReadFileAsync();
        int data = file.AsSpan().IndexOf(new byte[] { 0x23, 0x85, 0x28, 0x75 }) + HeaderExtension.PrefixLength;
        if (at == 8)
        {
            file.AsSpan(data + 8, 8).Clear();
        }
        else
        {
            file[data + at] = value;
        }

        await WriteFileAsync(file);
        await using (Qcow2Node node = await _world.OpenAsync("disk"))
        {
            await node.ReadAsync(0, new byte[Length]);
            Assert.StartsWith(sentence, Assert.Throws<BlockLayerException>(() => ImageBitmaps.List(node)).Message, StringComparison.Ordinal);
            BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(() => node.WriteAsync(0, new byte[1]).AsTask());
            Assert.Equal(BlockErrorKind.Corrupt, error.Kind);
            Assert.EndsWith("; the image can be read, and must be repaired before it is written.", error.Message, StringComparison.Ordinal);
        }

        Assert.Equal(file, await ReadFileAsync());
    }

    [Fact]
    public async Task A_damaged_table_costs_that_bitmap_and_nothing_else()
    {
        await CreateAsync();
        await ChangeAsync(static async node =>
        {
            await ImageBitmaps.AddAsync(node, "bad");
            await ImageBitmaps.AddAsync(node, "good");
        });
        byte[] file = await ReadFileAsync();
        BitmapDirectoryEntry bad = (await DirectoryAsync()).Entries[0];
        BinaryPrimitives.WriteUInt64BigEndian(file.AsSpan((int)bad.TableOffset.Value), 1UL << 50);
        await WriteFileAsync(file);

        await ChangeAsync(static node => node.WriteAsync(0, new byte[] { 1 }).AsTask());

        await using Qcow2Node again = await _world.OpenAsync("disk", NodeAccess.ReadOnly);
        Assert.Equal([true, false], ImageBitmaps.List(again).Select(static bitmap => bitmap.IsInUse));
        Assert.Equal([new(0, ClusterSize)], await RangesAsync(again, "good"));
    }

    // The cluster's refcount is one, which is the guest's reference: refcounts do not tell that the bitmap's is one too many.
    [Theory]
    [InlineData("the disk")]
    [InlineData("a snapshot")]
    [InlineData("another bitmap")]
    public async Task A_cluster_that_a_damaged_bitmap_names_stays_whose_it_is(string owner)
    {
        byte[] content = Pattern.Of(0, 3 * ClusterSize, writer: 7);
        await CreateAsync();
        await ChangeAsync(async node =>
        {
            await node.WriteAsync(0, content);
            if (owner == "a snapshot")
            {
                await node.CreateSnapshotAsync("s", CancellationToken.None);
                await node.WriteAsync(0, new byte[3 * ClusterSize]);
            }

            await ImageBitmaps.AddAsync(node, "bad", new NewBitmap { State = BitmapState.Disabled });
            await ImageBitmaps.AddAsync(node, "good", new NewBitmap { Granularity = 512 });
            await node.WriteAsync(60 * ClusterSize, content.AsMemory(0, 700));
        });
        byte[] file = await ReadFileAsync();
        BitmapDirectory directory = await DirectoryAsync();
        ulong named = owner switch
        {
            "another bitmap" => BinaryPrimitives.ReadUInt64BigEndian(file.AsSpan((int)directory.Entries[1].TableOffset.Value)),
            _ => (ulong)file.AsSpan().IndexOf(content.AsSpan(0, ClusterSize)),
        };
        Assert.InRange(named, 1UL, (ulong)file.Length);
        BinaryPrimitives.WriteUInt64BigEndian(file.AsSpan((int)directory.Entries[0].TableOffset.Value), named);
        await WriteFileAsync(file);

        await ChangeAsync(static node => ImageBitmaps.RemoveAsync(node, "bad").AsTask());

        await ChangeAsync(static node => node.WriteAsync(20 * ClusterSize, new byte[30 * ClusterSize]).AsTask()); // takes what is free
        byte[] found = new byte[3 * ClusterSize];
        await using (Qcow2Node again = owner == "a snapshot" ? await _world.OpenSnapshotAsync("disk", "s") : await _world.OpenAsync("disk"))
        {
            await again.ReadAsync(0, found);
        }

        Assert.Equal(content, found);
        await using Qcow2Node disk = await _world.OpenAsync("disk", NodeAccess.ReadOnly);
        Assert.Equal([new(20 * ClusterSize, 30 * ClusterSize), new(60 * ClusterSize, 1024)], await RangesAsync(disk, "good"));
        ImageCheckReport report = await disk.CheckAsync(progress: null, CancellationToken.None);
        Assert.True(report is { Corruptions: 0, Leaks: 0 }, string.Join('\n', report.Findings));
    }

    [Fact]
    public async Task An_image_that_a_program_without_bitmaps_has_written_has_none_and_gets_new_ones()
    {
        await CreateAsync();
        await ChangeAsync(static node => ImageBitmaps.AddAsync(node, "on").AsTask());
        byte[] file = await ReadFileAsync();
        (Qcow2Header.Parse(file) with { Autoclear = AutoclearFeatures.None }).WriteTo(file);
        await WriteFileAsync(file);

        await ChangeAsync(static async node =>
        {
            Assert.Empty(ImageBitmaps.List(node));
            await ImageBitmaps.AddAsync(node, "on");
            await node.WriteAsync(0, new byte[] { 1 });
        });

        await using Qcow2Node again = await _world.OpenAsync("disk", NodeAccess.ReadOnly);
        Assert.Equal([new(0, ClusterSize)], await RangesAsync(again, "on"));
    }

    [Fact]
    public async Task The_last_bitmap_takes_directory_extension_and_room_with_it()
    {
        await CreateAsync();
        byte[] before = await ReadFileAsync();
        await ChangeAsync(static node => ImageBitmaps.AddAsync(node, "on").AsTask());
        await ChangeAsync(static node => ImageBitmaps.RemoveAsync(node, "on").AsTask());

        byte[] after = await ReadFileAsync();

        Qcow2Header header = Qcow2Header.Parse(after);
        Assert.Null(header.Extensions.Find(HeaderExtensionType.Bitmaps));
        Assert.Equal(before.AsSpan(0, header.AreaLength), after.AsSpan(0, header.AreaLength)); // feature names were moved aside and back
        await using Qcow2Node again = await _world.OpenAsync("disk", NodeAccess.ReadOnly);
        await AssertCleanAsync(again);
    }

    [Fact]
    public async Task A_full_file_system_keeps_what_was_stored_and_says_that_the_bits_are_incomplete()
    {
        var world = new TestWorld(capacity: 200 * ClusterSize);
        await world.CreateAsync("disk", new Qcow2CreateOptions { Length = 4096L * ClusterSize, ClusterSize = ClusterSize });
        Qcow2Node node = await world.OpenAsync("disk");
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
        await using Qcow2Node again = await world.OpenAsync("disk", NodeAccess.ReadOnly);
        Assert.NotNull(ImageBitmaps.List(again)[0].Problem);
    }

    [Fact]
    public async Task What_a_bitmap_cannot_be_is_refused_and_changes_nothing()
    {
        await CreateAsync();
        byte[] before = await ReadFileAsync();
        await ChangeAsync(static async node =>
        {
            await Assert.ThrowsAsync<ArgumentException>(() => ImageBitmaps.AddAsync(node, "").AsTask());
            await Assert.ThrowsAsync<ArgumentException>(() => ImageBitmaps.AddAsync(node, new string('ä', 512)).AsTask());
            foreach (long granularity in new[] { 0, 256, 5000, 1L << 32, long.MinValue })
            {
                await Assert.ThrowsAsync<ArgumentException>(() => ImageBitmaps.AddAsync(node, "x", new NewBitmap { Granularity = granularity }).AsTask());
            }

            Assert.Equal(BlockErrorKind.NotFound, (await Assert.ThrowsAsync<BlockLayerException>(() => ImageBitmaps.RemoveAsync(node, "x").AsTask())).Kind);
        });
        Assert.Equal(before, await ReadFileAsync());
        await _world.CreateAsync("v2", new Qcow2CreateOptions { Length = Length, Version = 2 });
        await using Qcow2Node old = await _world.OpenAsync("v2");
        BlockLayerException refused = await Assert.ThrowsAsync<BlockLayerException>(() => ImageBitmaps.AddAsync(old, "x").AsTask());
        Assert.Equal("'v2' is a version 2 image, which cannot say whether bitmaps are up to date; bitmaps need version 3.", refused.Message);
        await using Qcow2Node reader = await _world.OpenAsync("disk", NodeAccess.ReadOnly);
        Assert.Equal(BlockErrorKind.ReadOnly, (await Assert.ThrowsAsync<BlockLayerException>(() => ImageBitmaps.AddAsync(reader, "x").AsTask())).Kind);
    }

    [Fact]
    public async Task Bits_that_a_table_claims_without_storing_them_cost_no_memory()
    {
        // 2^32 bits, all ones, by a table of 256 entries.
        const long Disk = 1L << 41;
        await _world.CreateAsync("disk", new Qcow2CreateOptions { Length = Disk, ClusterSize = 2 << 20 });
        await ChangeAsync(static node => ImageBitmaps.AddAsync(node, "on", new NewBitmap { Granularity = 512 }).AsTask());
        BitmapDirectoryEntry entry = (await DirectoryAsync()).Entries[0];
        byte[] table = new byte[256 * sizeof(ulong)];
        for (int i = 0; i < table.Length; i += sizeof(ulong))
        {
            BinaryPrimitives.WriteUInt64BigEndian(table.AsSpan(i), 1);
        }

        await using (StorageNode file = await _world.OpenFileAsync("disk"))
        {
            await file.WriteAsync(entry.TableOffset.Value, table);
        }

        await using Qcow2Node node = await _world.OpenAsync("disk", NodeAccess.ReadOnly);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Equal([new(0, Disk)], await RangesAsync(node, "on"));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 8 << 20);
    }

    [Fact]
    public async Task A_table_that_leads_to_one_cluster_again_and_again_costs_no_memory()
    {
        const int Entries = 512; // of a file with fewer clusters
        await _world.CreateAsync("disk", new Qcow2CreateOptions { Length = Entries * (long)ClusterSize * 8 * 512, ClusterSize = ClusterSize });
        await ChangeAsync(static async node =>
        {
            await ImageBitmaps.AddAsync(node, "on", new NewBitmap { Granularity = 512 });
            await node.WriteAsync(0, new byte[] { 1 });
        });
        BitmapDirectoryEntry entry = Assert.Single((await DirectoryAsync()).Entries);
        byte[] file = await ReadFileAsync();
        Assert.True(file.Length < Entries * ClusterSize);
        Span<byte> table = file.AsSpan((int)entry.TableOffset.Value, Entries * sizeof(ulong));
        for (int i = 1; i < Entries; i++)
        {
            table[..sizeof(ulong)].CopyTo(table[(i * sizeof(ulong))..]);
        }

        await WriteFileAsync(file);
        await using Qcow2Node node = await _world.OpenAsync("disk", NodeAccess.ReadOnly);
        BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(() => RangesAsync(node, "on"));
        Assert.Equal($"The table of bitmap 'on' at byte {entry.TableOffset.Value} leads to more clusters than the file has.", error.Message);
    }

    [Fact]
    public async Task Bitmaps_that_claim_the_same_table_cost_no_memory_each()
    {
        const int Count = 20_000;
        const long Disk = 1L << 41;
        await _world.CreateAsync("disk", new Qcow2CreateOptions { Length = Disk, ClusterSize = 2 << 20 });
        await ChangeAsync(static node => ImageBitmaps.AddAsync(node, "x", new NewBitmap { Granularity = 512 }).AsTask());
        BitmapDirectory directory = await DirectoryAsync();
        BitmapDirectoryEntry[] same = [.. Enumerable.Range(0, Count).Select(i => BitmapDirectoryEntry.Create($"{i}", 9, isAuto: true) with
        {
            TableOffset = directory.Entries[0].TableOffset,
            TableEntries = directory.Entries[0].TableEntries,
        })];
        byte[] bytes = BitmapDirectory.ToBytes(same);
        byte[] file = await ReadFileAsync();
        bytes.CopyTo(file, directory.Range.Offset);
        Qcow2Header header = Qcow2Header.Parse(file);
        (header with { Extensions = header.Extensions.With(new BitmapsExtension(Count, 0, bytes.Length, new(directory.Range.Offset)).ToExtension()) }).WriteTo(file);
        await WriteFileAsync(file);

        long before = GC.GetAllocatedBytesForCurrentThread();
        await using Qcow2Node node = await _world.OpenAsync("disk");
        await node.WriteAsync(0, new byte[] { 1 });
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 100 << 20); // 20 GiB if each were tracked
        Assert.StartsWith("its table at byte", ImageBitmaps.List(node)[7].Problem, StringComparison.Ordinal);
    }

    private static async Task<List<ByteRange>> RangesAsync(BlockNode node, string name)
    {
        List<ByteRange> ranges = [];
        await foreach (ByteRange range in ImageBitmaps.ReadAsync(node, name))
        {
            ranges.Add(range);
        }

        return ranges;
    }

    private static async Task AssertCleanAsync(Qcow2Node node)
    {
        ImageCheckReport report = await node.CheckAsync(progress: null, CancellationToken.None);
        Assert.True(report.IsClean, string.Join('\n', report.Findings));
    }

    private static string Comparable(BitmapDirectoryEntry entry) => Convert.ToHexString(BitmapDirectory.ToBytes([entry]));

    private ValueTask CreateAsync() => _world.CreateAsync("disk", new Qcow2CreateOptions { Length = Length, ClusterSize = ClusterSize });

    private async Task ChangeAsync(Func<Qcow2Node, Task> change)
    {
        await using Qcow2Node node = await _world.OpenAsync("disk");
        await change(node);
    }

    private async Task<byte[]> ReadFileAsync()
    {
        await using StorageNode file = await _world.OpenFileAsync("disk");
        byte[] content = new byte[file.Length];
        await file.ReadAsync(0, content);
        return content;
    }

    private async Task WriteFileAsync(byte[] content)
    {
        await using StorageNode file = await _world.OpenFileAsync("disk", BlockLayer.Storage.StorageOpenMode.CreateOrTruncate);
        await file.ResizeAsync(content.Length);
        await file.WriteAsync(0, content);
    }

    private async Task<BitmapDirectory> DirectoryAsync()
    {
        byte[] file = await ReadFileAsync();
        return await BitmapDirectory.LoadAsync(new MetadataBytes(file), Qcow2Header.Parse(file), CancellationToken.None);
    }

    /// <summary>Changes the first bitmap's entry in the file; what it became.</summary>
    private async Task<BitmapDirectoryEntry> EditDirectoryAsync(Func<BitmapDirectoryEntry, BitmapDirectoryEntry> edit)
    {
        byte[] file = await ReadFileAsync();
        Qcow2Header header = Qcow2Header.Parse(file);
        BitmapDirectory directory = await DirectoryAsync();
        BitmapDirectoryEntry edited = edit(directory.Entries[0]);
        byte[] bytes = BitmapDirectory.ToBytes([edited, .. directory.Entries.Skip(1)]);
        bytes.CopyTo(file, directory.Range.Offset);
        var extension = new BitmapsExtension((uint)directory.Entries.Count, 0, bytes.Length, new HostOffset(directory.Range.Offset));
        (header with { Extensions = header.Extensions.With(extension.ToExtension()) }).WriteTo(file);
        await WriteFileAsync(file);
        return edited;
    }
}
