using System.Buffers.Binary;
using System.Text;
using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Snapshots;

public sealed class SnapshotTableTests
{
    private static readonly HostOffset s_start = new(0x30000);

    [Theory]
    [InlineData("q7-snap.qcow2")]
    [InlineData("q11-snap.qcow2")]
    public async Task Table_written_by_QEMU_is_read_and_written_back_byte_for_byte(string name)
    {
        byte[] file = File.ReadAllBytes(GoldenImages.Get(name).Path);
        Qcow2Header header = Qcow2Header.Parse(file);
        SnapshotTable table = await SnapshotTableLoader.LoadAsync(new MetadataBytes(file), header, TestContext.Current.CancellationToken);
        Assert.Equal(["1", "2"], table.Entries.Select(static entry => entry.Id));
        Assert.All(table.Entries, entry => entry.Validate(header.CreateGeometry(), header.SnapshotsOffset, file.Length));
        Assert.All(table.Entries, entry => Assert.Equal((ulong)header.VirtualSize, entry.DiskSize));
        byte[] written = new byte[table.Length];
        Assert.Equal(table.Length, table.WriteTo(written));
        Assert.Equal(file.AsSpan((int)header.SnapshotsOffset.Value, table.Length).ToArray(), written);
    }

    [Fact]
    public void No_more_snapshots_are_made_than_readers_accept()
    {
        SnapshotEntry entry = SnapshotEntry.Create("1", "x", DateTimeOffset.UnixEpoch, diskSize: 512, new HostOffset(0x10000), l1Size: 1);
        Assert.Equal(65536, SnapshotTable.Create(Enumerable.Repeat(entry, 65536)).Entries.Count);
        BlockLayerException refused = Assert.Throws<BlockLayerException>(() => SnapshotTable.Create(Enumerable.Repeat(entry, 65537)));
        Assert.Equal(BlockErrorKind.Unsupported, refused.Kind);
        Assert.StartsWith("65537 snapshots would make a table of 4718664 bytes; an image has at most 65536 in 67108864 bytes.", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_new_entry_reads_back_as_it_was_made()
    {
        var taken = new DateTimeOffset(2026, 11, 21, 6, 7, 8, TimeSpan.Zero).AddTicks(1234567);
        SnapshotEntry entry = SnapshotEntry.Create("7", "vor dem Größerwerden", taken, diskSize: 1L << 40, new HostOffset(0x50000), l1Size: 77);
        SnapshotTable table = SnapshotTable.Create([entry]);
        byte[] bytes = new byte[table.Length];
        table.WriteTo(bytes);
        SnapshotEntry read = new(bytes);
        Assert.Equal(("7", "vor dem Größerwerden", taken, 1UL << 40, 0UL), (read.Id, read.Name, read.Taken, read.DiskSize, read.VmStateSize));
        Assert.Equal((new HostOffset(0x50000), 77u, 0UL, (ulong?)null), (read.L1TableOffset, read.L1Size, read.GuestTime, read.InstructionCount));
        Assert.Equal(0, bytes.Length % 8);
    }

    [Fact]
    public void A_new_id_is_larger_than_every_number_among_the_ids()
    {
        SnapshotEntry[] entries = [.. new[] { "3", "x", "", "12", "99999999999999999999999" }.Select(static id => SnapshotEntry.Create(id, "", default, 0, default, 0))];
        Assert.Equal("13", SnapshotTable.Create(entries).NextId());
        Assert.Equal("1", SnapshotTable.Empty.NextId());
    }

    [Fact]
    public void Large_VM_state_size_replaces_the_small_one()
    {
        byte[] bytes = Entry("1", "x", extra: 16);
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(32), 7);
        BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(40), 1UL << 40);
        Assert.Equal(1UL << 40, new SnapshotEntry(bytes).VmStateSize);
        byte[] old = Entry("1", "x", extra: 0);
        BinaryPrimitives.WriteUInt32BigEndian(old.AsSpan(32), 7);
        Assert.Equal((7UL, (ulong?)null), (new SnapshotEntry(old).VmStateSize, new SnapshotEntry(old).DiskSize));
    }

    [Theory]
    [InlineData(0x10001UL, 1u, "L1 table offset of a snapshot is 0x10001 at byte 196608; expected is a multiple of the cluster size 65536.")]
    [InlineData(0x8000_0000_0000_0000, 1u, "L1 table offset of a snapshot is 0x8000000000000000 at byte 196608; expected is a multiple of the cluster size 65536.")]
    [InlineData(0x10000UL, 4194305u, "L1 table size of a snapshot is 4194305 at byte 196616; allowed is 0 to 4194304.")]
    [InlineData(0x10000UL, 4194304u, "L1 table of snapshot \"x\" [0x10000, 0x2010000) does not end inside the file of 1048576 bytes.")]
    public void L1_table_that_cannot_be_is_refused(ulong offset, uint size, string message)
    {
        byte[] bytes = Entry("1", "x", extra: 16);
        BinaryPrimitives.WriteUInt64BigEndian(bytes, offset);
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(8), size);
        ClusterGeometry g = new(16, 4, L2EntryFormat.Standard);
        var error = Assert.Throws<ImageFormatException>(() => new SnapshotEntry(bytes).Validate(g, s_start, 1 << 20));
        Assert.Equal(message, error.Message);
    }

    private static byte[] Entry(string id, string name, int extra)
    {
        byte[] bytes = new byte[(40 + extra + id.Length + name.Length + 7) & ~7];
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(12), (ushort)id.Length);
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(14), (ushort)name.Length);
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(36), (uint)extra);
        Encoding.ASCII.GetBytes(id + name, bytes.AsSpan(40 + extra));
        return bytes;
    }
}
