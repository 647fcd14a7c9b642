using System.Buffers.Binary;
using System.Text;
using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Snapshots;

/// <summary>How far a snapshot table is read, and what is said of the rest.</summary>
public sealed class SnapshotTableReaderTests
{
    private const int Start = 0x30000;
    private const long Maximum = 64 << 20;

    [Fact]
    public async Task Last_entry_needs_no_padding()
    {
        SnapshotTableReading found = await ReadAsync(1, Entry("1", "x", extra: 16).AsSpan(0, 40 + 16 + 2).ToArray());
        Assert.Null(found.Fault);
        Assert.Equal(("x", 40L + 16 + 2), (found.Entries[0].Entry.Name, found.Length));
    }

    [Fact]
    public async Task Too_much_extra_data_is_cut_and_the_name_found_behind_it()
    {
        SnapshotTableReading found = await ReadAsync(3, [.. Entry("1", "first", extra: 16), .. Entry("2", "second", extra: 5000), .. Entry("3", "third", extra: 24)]);
        Assert.Equal(["first", "second", "third"], found.Entries.Select(static row => row.Entry.Name));
        Assert.Equal([16u, 1024u, 24u], found.Entries.Select(static row => row.Entry.ExtraLength));
        Assert.Equal([true, false, true], found.Entries.Select(static row => row.IsIntact));
        Assert.Equal("extra data size of a snapshot is 5000 at byte 196708; allowed is 0 to 1024.", found.Fault?.Message);
    }

    [Fact]
    public async Task What_has_too_much_extra_data_and_no_L1_table_ends_the_table()
    {
        byte[] garbage = [.. Enumerable.Repeat<byte>(0xa5, 200)];
        SnapshotTableReading found = await ReadAsync(9, [.. Entry("1", "first", extra: 16), .. garbage]);
        Assert.Equal(["first"], found.Entries.Select(static row => row.Entry.Name));
        Assert.Equal(BlockErrorKind.InvalidFormat, found.Fault?.Kind);
    }

    [Fact]
    public async Task Entries_behind_the_end_of_the_file_are_counted_and_not_made()
    {
        SnapshotTableReading found = await ReadAsync(65536, Entry("1", "x", extra: 16));
        Assert.Single(found.Entries);
        Assert.Equal((65535L, 64L + (65535 * 40)), (found.Missing, found.Length));
        Assert.Equal("snapshot table of 65536 entries at byte 196608 does not end inside the file of 196672 bytes.", found.Fault?.Message);
    }

    [Fact]
    public async Task An_entry_that_goes_on_behind_the_end_of_the_file_ends_in_zeroes()
    {
        byte[] entry = Entry("1", "name", extra: 16);
        BinaryPrimitives.WriteUInt16BigEndian(entry.AsSpan(14), ushort.MaxValue);
        SnapshotTableReading found = await ReadAsync(1, entry);
        Assert.Equal("name", found.Entries[0].Entry.WithEndedTexts().Name);
        Assert.False(found.Entries[0].IsIntact);
        Assert.Equal(BlockErrorKind.Corrupt, found.Fault?.Kind);
    }

    [Theory]
    [InlineData(65537u, (long)Start, "nb_snapshots is 65537 at byte 60; allowed is 0 to 65536.")]
    [InlineData(1u, Start + 512L, "snapshots_offset is 0x30200 at byte 64; expected is a multiple of the cluster size 65536.")]
    [InlineData(1u, long.MinValue, "snapshots_offset is 0x8000000000000000 at byte 64; expected is a multiple of the cluster size 65536.")]
    [InlineData(1u, long.MaxValue & ~0xffffL, "snapshots_offset is 0x7fffffffffff0000 at byte 64; expected is a multiple of the cluster size 65536.")]
    [InlineData(1u, 0L, "snapshot table [0x0, 0x28) overlaps header [0x0, 0x10000).")]
    [InlineData(1u, 0x10000L, "snapshot table [0x10000, 0x10028) overlaps refcount table [0x10000, 0x20000).")]
    [InlineData(1u, 0x40000L, "snapshot table [0x40000, 0x40028) overlaps L1 table [0x40000, 0x40008).")]
    [InlineData(1u, 0x50000L, "snapshot table of 1 entries at byte 327680 does not end inside the file of 327680 bytes.")]
    public async Task A_table_that_cannot_be_where_the_header_says_is_refused_by_its_reason(uint count, long offset, string reason)
    {
        Qcow2Header header = TestHeaders.Version3() with { SnapshotCount = count, SnapshotsOffset = new HostOffset(offset) };
        var file = new MetadataBytes(new byte[5 << 16]);
        var error = await Assert.ThrowsAsync<ImageFormatException>(async () => await SnapshotTableLoader.LoadAsync(file, header, TestContext.Current.CancellationToken));
        Assert.Equal(reason, error.Message);
    }

    /// <summary>The file says that it has a terabyte; it is sparse, or made up.</summary>
    [Fact]
    public async Task No_more_is_read_of_a_table_than_the_largest_one_may_have()
    {
        byte[] entry = Entry(new string('1', ushort.MaxValue), new string('x', ushort.MaxValue), extra: 1024);
        var file = new EndlessTable(entry);
        SnapshotTableReading found = await SnapshotTableReader.ReadAsync(file, Header(65536), TestContext.Current.CancellationToken);
        Assert.Equal(Maximum / entry.Length, found.Entries.Count);
        Assert.Equal("length of the snapshot table", found.Limit?.Field);
        Assert.InRange(file.BytesRead, Maximum - entry.Length, 2 * Maximum);
        Assert.InRange(file.LargestRead, 1, entry.Length + (64 << 10));
    }

    private static ValueTask<SnapshotTableReading> ReadAsync(uint count, byte[] table)
        => SnapshotTableReader.ReadAsync(new MetadataBytes([.. new byte[Start], .. table]), Header(count), TestContext.Current.CancellationToken);

    private static Qcow2Header Header(uint count) => TestHeaders.Version3() with { SnapshotCount = count, SnapshotsOffset = new HostOffset(Start), L1Size = 0 };

    private static byte[] Entry(string id, string name, int extra)
    {
        byte[] bytes = new byte[(40 + extra + id.Length + name.Length + 7) & ~7];
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(12), (ushort)id.Length);
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(14), (ushort)name.Length);
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(36), (uint)extra);
        Encoding.ASCII.GetBytes(id + name, bytes.AsSpan(40 + extra));
        return bytes;
    }

    /// <summary>A file in which one entry follows the other for a terabyte.</summary>
    private sealed class EndlessTable(byte[] entry) : IMetadataReader
    {
        public long Length => 1L << 40;

        internal long BytesRead { get; private set; }

        internal int LargestRead { get; private set; }

        public ValueTask ReadPaddedAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
        {
            BytesRead += buffer.Length;
            LargestRead = Math.Max(LargestRead, buffer.Length);
            for (int i = 0; i < buffer.Length;)
            {
                int at = (int)((offset + i - Start) % entry.Length);
                int length = Math.Min(entry.Length - at, buffer.Length - i);
                entry.AsSpan(at, length).CopyTo(buffer.Span[i..]);
                i += length;
            }

            return ValueTask.CompletedTask;
        }
    }
}
