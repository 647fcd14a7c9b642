using System.Buffers.Binary;
using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Bitmaps;

/// <summary>Images whose bitmaps are not as they should be: what is kept, what is refused, and what it costs.</summary>
public sealed class DamagedBitmapTests
{
    private const int ClusterSize = BitmapWorld.ClusterSize;
    private const int Length = BitmapWorld.Length;

    private readonly BitmapWorld _world = new();

    public static TheoryData<string> Strangers => ["an unknown type", "a reserved flag", "extra data that must be understood", "a granularity of 256", "a table behind the end"];

    [Theory]
    [MemberData(nameof(Strangers))]
    public async Task A_bitmap_of_a_kind_not_known_here_is_kept_and_says_when_it_became_untrue(string kind)
    {
        await _world.CreateAsync();
        await _world.ChangeAsync(static node => ImageBitmaps.AddAsync(node, "strange").AsTask());
        BitmapDirectoryEntry made = await _world.EditDirectoryAsync(entry => kind switch
        {
            "an unknown type" => entry with { Type = 7 },
            "a reserved flag" => entry with { Flags = entry.Flags | 8 },
            "extra data that must be understood" => entry with { ExtraLength = 5, ExtraData = new byte[] { 1, 2, 3, 4, 5 } },
            "a granularity of 256" => entry with { GranularityBits = 8 },
            _ => entry with { TableOffset = new HostOffset(1L << 40) },
        });
        await _world.ChangeAsync(static async node =>
        {
            Assert.NotNull(ImageBitmaps.List(node)[0].Problem);
            BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(() => BitmapWorld.RangesAsync(node, "strange"));
            Assert.Equal(BlockErrorKind.Unsupported, error.Kind);
            await ImageBitmaps.AddAsync(node, "known");
        });
        Assert.Equal(Comparable(made), Comparable((await _world.DirectoryAsync()).Entries[0]));

        await _world.ChangeAsync(static node => node.WriteAsync(0, new byte[] { 1 }).AsTask());

        BitmapDirectory after = await _world.DirectoryAsync();
        Assert.Equal(Comparable(made.WithInUse(true)), Comparable(after.Entries[0])); // it is enabled, and lacks our write
        Assert.False(after.Entries[1].IsInUse);
        await _world.ChangeAsync(static node => ImageBitmaps.RemoveAsync(node, "strange").AsTask());
        Assert.Equal("known", Assert.Single((await _world.DirectoryAsync()).Entries).Name);
    }

    [Fact]
    public async Task Extra_data_that_may_be_ignored_is_kept_and_the_bitmap_used()
    {
        await _world.CreateAsync();
        await _world.ChangeAsync(static node => ImageBitmaps.AddAsync(node, "on").AsTask());
        await _world.EditDirectoryAsync(static entry => entry with { ExtraLength = 3, ExtraData = new byte[] { 7, 8, 9 }, Flags = entry.Flags | 4 });

        await _world.ChangeAsync(static node => node.WriteAsync(0, new byte[] { 1 }).AsTask());

        BitmapDirectoryEntry entry = Assert.Single((await _world.DirectoryAsync()).Entries);
        Assert.Equal((6u, "7,8,9"), (entry.Flags, string.Join(',', entry.ExtraData.ToArray())));
        await using Qcow2Node again = await _world.OpenAsync(NodeAccess.ReadOnly);
        Assert.Equal([new(0, ClusterSize)], await BitmapWorld.RangesAsync(again, "on"));
    }

    [Theory]
    [InlineData(8, 0x00, "The bitmaps extension says that 1 bitmaps are described by")]   // directory_size
    [InlineData(3, 0x02, "The bitmap directory has 1 entries; the header says")]           // nb_bitmaps
    [InlineData(17, 0x7f, "The bitmaps extension says that 1 bitmaps are described by")]   // directory_offset
    public async Task Bitmaps_that_cannot_be_located_leave_the_disk_readable_and_forbid_writing(int at, byte value, string sentence)
    {
        await _world.CreateAsync();
        await _world.ChangeAsync(static node => ImageBitmaps.AddAsync(node, "on").AsTask());
        byte[] file = await _world.ReadFileAsync();
        int data = file.AsSpan().IndexOf(new byte[] { 0x23, 0x85, 0x28, 0x75 }) + HeaderExtension.PrefixLength;
        if (at == 8)
        {
            file.AsSpan(data + 8, 8).Clear();
        }
        else
        {
            file[data + at] = value;
        }

        await _world.WriteFileAsync(file);
        await using (Qcow2Node node = await _world.OpenAsync())
        {
            await node.ReadAsync(0, new byte[Length]);
            Assert.StartsWith(sentence, Assert.Throws<BlockLayerException>(() => ImageBitmaps.List(node)).Message, StringComparison.Ordinal);
            BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(() => node.WriteAsync(0, new byte[1]).AsTask());
            Assert.Equal(BlockErrorKind.Corrupt, error.Kind);
            Assert.EndsWith("; the image can be read, and must be repaired before it is written.", error.Message, StringComparison.Ordinal);
        }

        Assert.Equal(file, await _world.ReadFileAsync());
    }

    [Fact]
    public async Task A_damaged_table_costs_that_bitmap_and_nothing_else()
    {
        await _world.CreateAsync();
        await _world.ChangeAsync(static async node =>
        {
            await ImageBitmaps.AddAsync(node, "bad");
            await ImageBitmaps.AddAsync(node, "good");
        });
        byte[] file = await _world.ReadFileAsync();
        BitmapDirectoryEntry bad = (await _world.DirectoryAsync()).Entries[0];
        BinaryPrimitives.WriteUInt64BigEndian(file.AsSpan((int)bad.TableOffset.Value), 1UL << 50);
        await _world.WriteFileAsync(file);

        await _world.ChangeAsync(static node => node.WriteAsync(0, new byte[] { 1 }).AsTask());

        await using Qcow2Node again = await _world.OpenAsync(NodeAccess.ReadOnly);
        Assert.Equal([true, false], ImageBitmaps.List(again).Select(static bitmap => bitmap.IsInUse));
        Assert.Equal([new(0, ClusterSize)], await BitmapWorld.RangesAsync(again, "good"));
    }

    // The cluster's refcount is one, which is the guest's reference: refcounts do not tell that the bitmap's is one too many.
    [Theory]
    [InlineData("the disk")]
    [InlineData("a snapshot")]
    [InlineData("another bitmap")]
    public async Task A_cluster_that_a_damaged_bitmap_names_stays_whose_it_is(string owner)
    {
        byte[] content = Pattern.Of(0, 3 * ClusterSize, writer: 7);
        await _world.CreateAsync();
        await _world.ChangeAsync(async node =>
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
        byte[] file = await _world.ReadFileAsync();
        BitmapDirectory directory = await _world.DirectoryAsync();
        ulong named = owner switch
        {
            "another bitmap" => BinaryPrimitives.ReadUInt64BigEndian(file.AsSpan((int)directory.Entries[1].TableOffset.Value)),
            _ => (ulong)file.AsSpan().IndexOf(content.AsSpan(0, ClusterSize)),
        };
        Assert.InRange(named, 1UL, (ulong)file.Length);
        BinaryPrimitives.WriteUInt64BigEndian(file.AsSpan((int)directory.Entries[0].TableOffset.Value), named);
        await _world.WriteFileAsync(file);

        await _world.ChangeAsync(static node => ImageBitmaps.RemoveAsync(node, "bad").AsTask());

        await _world.ChangeAsync(static node => node.WriteAsync(20 * ClusterSize, new byte[30 * ClusterSize]).AsTask()); // takes what is free
        byte[] found = new byte[3 * ClusterSize];
        await using (Qcow2Node again = owner == "a snapshot" ? await _world.OpenSnapshotAsync("s") : await _world.OpenAsync())
        {
            await again.ReadAsync(0, found);
        }

        Assert.Equal(content, found);
        await using Qcow2Node disk = await _world.OpenAsync(NodeAccess.ReadOnly);
        Assert.Equal([new(20 * ClusterSize, 30 * ClusterSize), new(60 * ClusterSize, 1024)], await BitmapWorld.RangesAsync(disk, "good"));
        ImageCheckReport report = await disk.CheckAsync(progress: null, CancellationToken.None);
        Assert.True(report is { Corruptions: 0, Leaks: 0 }, string.Join('\n', report.Findings));
    }

    [Fact]
    public async Task Bits_that_a_table_claims_without_storing_them_cost_no_memory()
    {
        // 2^32 bits, all ones, by a table of 256 entries.
        const long Disk = 1L << 41;
        await _world.CreateAsync(new Qcow2CreateOptions { Length = Disk, ClusterSize = 2 << 20 });
        await _world.ChangeAsync(static node => ImageBitmaps.AddAsync(node, "on", new NewBitmap { Granularity = 512 }).AsTask());
        BitmapDirectoryEntry entry = (await _world.DirectoryAsync()).Entries[0];
        byte[] table = new byte[256 * sizeof(ulong)];
        for (int i = 0; i < table.Length; i += sizeof(ulong))
        {
            BinaryPrimitives.WriteUInt64BigEndian(table.AsSpan(i), 1);
        }

        await using (StorageNode file = await _world.OpenFileAsync())
        {
            await file.WriteAsync(entry.TableOffset.Value, table);
        }

        await using Qcow2Node node = await _world.OpenAsync(NodeAccess.ReadOnly);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Equal([new(0, Disk)], await BitmapWorld.RangesAsync(node, "on"));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 8 << 20);
    }

    [Fact]
    public async Task A_table_that_leads_to_one_cluster_again_and_again_costs_no_memory()
    {
        const int Entries = 512; // of a file with fewer clusters
        await _world.CreateAsync(new Qcow2CreateOptions { Length = Entries * (long)ClusterSize * 8 * 512, ClusterSize = ClusterSize });
        await _world.ChangeAsync(static async node =>
        {
            await ImageBitmaps.AddAsync(node, "on", new NewBitmap { Granularity = 512 });
            await node.WriteAsync(0, new byte[] { 1 });
        });
        BitmapDirectoryEntry entry = Assert.Single((await _world.DirectoryAsync()).Entries);
        byte[] file = await _world.ReadFileAsync();
        Assert.True(file.Length < Entries * ClusterSize);
        Span<byte> table = file.AsSpan((int)entry.TableOffset.Value, Entries * sizeof(ulong));
        for (int i = 1; i < Entries; i++)
        {
            table[..sizeof(ulong)].CopyTo(table[(i * sizeof(ulong))..]);
        }

        await _world.WriteFileAsync(file);
        await using Qcow2Node node = await _world.OpenAsync(NodeAccess.ReadOnly);
        BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(() => BitmapWorld.RangesAsync(node, "on"));
        Assert.Equal($"The table of bitmap 'on' at byte {entry.TableOffset.Value} leads to more clusters than the file has.", error.Message);
    }

    [Fact]
    public async Task Bitmaps_that_claim_the_same_table_cost_no_memory_each()
    {
        const int Count = 20_000;
        const long Disk = 1L << 41;
        await _world.CreateAsync(new Qcow2CreateOptions { Length = Disk, ClusterSize = 2 << 20 });
        await _world.ChangeAsync(static node => ImageBitmaps.AddAsync(node, "x", new NewBitmap { Granularity = 512 }).AsTask());
        BitmapDirectory directory = await _world.DirectoryAsync();
        BitmapDirectoryEntry[] same = [.. Enumerable.Range(0, Count).Select(i => BitmapDirectoryEntry.Create($"{i}", 9, isAuto: true) with
        {
            TableOffset = directory.Entries[0].TableOffset,
            TableEntries = directory.Entries[0].TableEntries,
        })];
        byte[] bytes = BitmapDirectory.ToBytes(same);
        byte[] file = await _world.ReadFileAsync();
        bytes.CopyTo(file, directory.Range.Offset);
        Qcow2Header header = Qcow2Header.Parse(file);
        (header with { Extensions = header.Extensions.With(new BitmapsExtension(Count, 0, bytes.Length, new(directory.Range.Offset)).ToExtension()) }).WriteTo(file);
        await _world.WriteFileAsync(file);

        long before = GC.GetAllocatedBytesForCurrentThread();
        await using Qcow2Node node = await _world.OpenAsync();
        await node.WriteAsync(0, new byte[] { 1 });
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 100 << 20); // 20 GiB if each were tracked
        Assert.StartsWith("its table at byte", ImageBitmaps.List(node)[7].Problem, StringComparison.Ordinal);
    }

    private static string Comparable(BitmapDirectoryEntry entry) => Convert.ToHexString(BitmapDirectory.ToBytes([entry]));
}
