using System.Buffers.Binary;
using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2;

/// <summary>Damaged and hostile images: an error for the damaged part, reads of the rest, and never a write to where metadata could be.</summary>
public sealed class Qcow2DamageTests
{
    private const int ClusterSize = 4096;
    private const int Length = 64 * ClusterSize;
    private const ulong Copied = 1UL << 63;

    private readonly TestWorld _world = new();

    [Theory]
    [InlineData(Copied | 0x1_0200, "points inside a cluster")]
    [InlineData(Copied | 0x7fff_0000, "points past the end of the file")]
    [InlineData(1UL << 62 | 0x7fff_0000, "points past the end of the file")]
    public async Task An_unusable_mapping_fails_its_own_cluster_and_no_other(ulong entry, string complaint)
    {
        DiskLayout layout = await CreateAsync();
        await PatchAsync(layout.L2EntryAt(3), entry);
        await using Qcow2Node node = await _world.OpenAsync("disk");

        await AssertCorruptAsync(complaint, () => node.ReadAsync(3 * ClusterSize, new byte[1]));
        await AssertCorruptAsync(complaint, () => node.WriteAsync(3 * ClusterSize, new byte[1]));
        await AssertCorruptAsync(complaint, () => node.ReadAsync(0, new byte[Length]));
        byte[] other = new byte[ClusterSize];
        await node.ReadAsync(4 * ClusterSize, other);
        Assert.Equal(Pattern.Of(4 * ClusterSize, ClusterSize, 1), other);
        await node.WriteAsync(4 * ClusterSize, new byte[] { 7 });
        await node.FlushAsync();
        Assert.False(node.Header.HasFeature(IncompatibleFeatures.Corrupt), "one bad mapping endangers nothing else");
    }

    [Fact]
    public async Task A_mapping_into_the_L1_table_is_never_written_through_and_the_corrupt_bit_is_set()
    {
        DiskLayout layout = await CreateAsync();
        await PatchAsync(layout.L2EntryAt(3), Copied | (ulong)layout.Header.L1TableOffset.Value);
        byte[] before = await ReadFileAsync();
        await using (Qcow2Node node = await _world.OpenAsync("disk"))
        {
            await AssertCorruptAsync("holds an L1 table", () => node.WriteAsync(3 * ClusterSize, new byte[ClusterSize]));
            await AssertCorruptAsync("holds an L1 table", () => node.WriteAsync(40 * ClusterSize, new byte[ClusterSize]));
            await AssertCorruptAsync("holds an L1 table", () => node.WriteZeroesAsync(40 * ClusterSize, ClusterSize));
            await AssertCorruptAsync("holds an L1 table", () => node.FlushAsync());
            await node.ReadAsync(4 * ClusterSize, new byte[1]);
        }

        byte[] after = await ReadFileAsync();
        Assert.True(Qcow2Header.Parse(after).HasFeature(IncompatibleFeatures.Corrupt));
        Assert.True(before.AsSpan(512).SequenceEqual(after.AsSpan(512)), "something behind the first sector changed");
        await AssertCorruptAsync("corrupt", async () => await _world.OpenAsync("disk"));
        await using Qcow2Node readable = await _world.OpenAsync("disk", NodeAccess.ReadOnly);
        await readable.ReadAsync(4 * ClusterSize, new byte[1]);
    }

    [Fact]
    public async Task Metadata_that_is_counted_as_free_is_not_handed_out()
    {
        DiskLayout layout = await CreateAsync();
        await SetRefcountAsync(layout, layout.L2Table.Value / ClusterSize, 0);
        byte[] before = await ReadFileAsync();
        await using (Qcow2Node node = await _world.OpenAsync("disk"))
        {
            await AssertCorruptAsync("holds an L2 table", () => node.WriteAsync(40 * ClusterSize, new byte[ClusterSize]));
        }

        byte[] after = await ReadFileAsync();
        Assert.True(before.AsSpan(512).SequenceEqual(after.AsSpan(512)), "something behind the first sector changed");
    }

    [Fact]
    public async Task A_mapped_cluster_that_is_counted_as_free_is_neither_written_nor_dropped()
    {
        DiskLayout layout = await CreateAsync();
        await SetRefcountAsync(layout, layout.HostOf(3).Value / ClusterSize, 0);
        await using Qcow2Node node = await _world.OpenAsync("disk");
        await AssertCorruptAsync("is 0", () => node.DiscardAsync(3 * ClusterSize, ClusterSize));
        await AssertCorruptAsync("is 0", () => node.WriteAsync(3 * ClusterSize, new byte[1]));
        byte[] found = new byte[ClusterSize];
        await node.ReadAsync(3 * ClusterSize, found);
        Assert.Equal(Pattern.Of(3 * ClusterSize, ClusterSize, 1), found);
    }

    [Fact]
    public async Task A_copied_flag_is_not_believed_against_the_refcount()
    {
        DiskLayout layout = await CreateAsync();
        await SetRefcountAsync(layout, layout.HostOf(3).Value / ClusterSize, 2);
        await using (Qcow2Node node = await _world.OpenAsync("disk"))
        {
            await node.WriteAsync((3 * ClusterSize) + 100, new byte[] { 9 });
            byte[] found = new byte[ClusterSize];
            await node.ReadAsync(3 * ClusterSize, found);
            byte[] expected = Pattern.Of(3 * ClusterSize, ClusterSize, 1);
            expected[100] = 9;
            Assert.Equal(expected, found);
        }

        byte[] file = await ReadFileAsync();
        byte[] shared = file.AsSpan((int)layout.HostOf(3).Value, ClusterSize).ToArray();
        Assert.Equal(Pattern.Of(3 * ClusterSize, ClusterSize, 1), shared);
    }

    [Fact]
    public async Task Two_L1_entries_that_both_own_one_L2_table_stop_all_writing()
    {
        DiskLayout layout = await CreateAsync(length: 8 << 20);
        await PatchAsync(layout.Header.L1TableOffset.Value + 8, Copied | (ulong)layout.L2Table.Value);
        await using Qcow2Node node = await _world.OpenAsync("disk");
        await AssertCorruptAsync("which is to hold an L2 table, holds an L2 table", () => node.WriteAsync(40 * ClusterSize, new byte[1]));
        await node.ReadAsync(0, new byte[1]);
    }

    [Fact]
    public async Task A_damaged_compressed_stream_fails_its_own_cluster()
    {
        await CreateAsync();
        await using (Qcow2Node node = await _world.OpenAsync("disk"))
        {
            await node.WriteAsync(10 * ClusterSize, new byte[ClusterSize], WriteFlags.Compressed);
        }

        DiskLayout layout = await ReadLayoutAsync();
        CompressedDescriptor stream = layout.L2EntryOf(10).Compressed(layout.Geometry);
        await PatchAsync(stream.Offset.Value, ulong.MaxValue);
        await using Qcow2Node damaged = await _world.OpenAsync("disk");
        await AssertCorruptAsync("compressed cluster", () => damaged.ReadAsync(10 * ClusterSize, new byte[1]));
        await damaged.ReadAsync(4 * ClusterSize, new byte[1]);
    }

    private static async Task AssertCorruptAsync(string complaint, Func<ValueTask> action)
    {
        BlockLayerException error = await Assert.ThrowsAnyAsync<BlockLayerException>(async () => await action());
        Assert.Equal(BlockErrorKind.Corrupt, error.Kind);
        Assert.Contains(complaint, error.Message, StringComparison.Ordinal);
    }

    /// <summary>A disk whose first eight clusters are written.</summary>
    private async ValueTask<DiskLayout> CreateAsync(long length = Length)
    {
        await _world.CreateAsync("disk", new Qcow2CreateOptions { Length = length, ClusterSize = ClusterSize });
        await using (Qcow2Node node = await _world.OpenAsync("disk"))
        {
            await node.WriteAsync(0, Pattern.Of(0, 8 * ClusterSize, writer: 1));
        }

        return await ReadLayoutAsync();
    }

    private async ValueTask<DiskLayout> ReadLayoutAsync() => new(await ReadFileAsync());

    private async ValueTask<byte[]> ReadFileAsync()
    {
        await using StorageNode file = await _world.OpenFileAsync("disk");
        byte[] bytes = new byte[file.Length];
        await file.ReadAsync(0, bytes);
        return bytes;
    }

    private async ValueTask PatchAsync(long at, ulong word)
    {
        byte[] bytes = new byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, word);
        await using StorageNode file = await _world.OpenFileAsync("disk");
        await file.WriteAsync(at, bytes);
    }

    private async ValueTask SetRefcountAsync(DiskLayout layout, long cluster, ushort count)
    {
        byte[] bytes = new byte[2];
        BinaryPrimitives.WriteUInt16BigEndian(bytes, count);
        await using StorageNode file = await _world.OpenFileAsync("disk");
        await file.WriteAsync(layout.FirstRefcountBlock + (2 * cluster), bytes);
    }

    /// <summary>Where things are in the file of a small image.</summary>
    private sealed class DiskLayout(byte[] file)
    {
        internal Qcow2Header Header { get; } = Qcow2Header.Parse(file);

        internal ClusterGeometry Geometry => Header.CreateGeometry();

        internal HostOffset L2Table => new L1Entry(Word(Header.L1TableOffset.Value)).L2Table;

        internal long FirstRefcountBlock => new RefcountTableEntry(Word(Header.RefcountTableOffset.Value)).Block.Value;

        internal long L2EntryAt(int cluster) => L2Table.Value + (8 * cluster);

        internal L2Entry L2EntryOf(int cluster) => new(Word(L2EntryAt(cluster)));

        internal HostOffset HostOf(int cluster) => L2EntryOf(cluster).HostOffset;

        private ulong Word(long at) => BinaryPrimitives.ReadUInt64BigEndian(file.AsSpan((int)at));
    }
}
