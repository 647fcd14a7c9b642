using System.Buffers.Binary;
using System.Text;
using BlockLayer.Formats.Qcow2;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Bitmaps;

public sealed class BitmapStructureTests
{
    private const long VirtualSize = 4 << 20;
    private static readonly ClusterGeometry s_geometry = new(16, 4, L2EntryFormat.Standard);

    [Theory]
    [InlineData("q7-bitmap.qcow2")]
    [InlineData("q11-bitmap.qcow2")]
    public void Directory_written_by_QEMU_is_read(string name)
    {
        byte[] file = File.ReadAllBytes(GoldenImages.Get(name).Path);
        Qcow2Header header = Qcow2Header.Parse(file);
        var extension = BitmapsExtension.Parse(header.Extensions.Find(HeaderExtensionType.Bitmaps)!.Data.Span);
        Assert.True(extension.IsValid(header.CreateGeometry()));
        ReadOnlySpan<byte> directory = file.AsSpan((int)extension.DirectoryOffset.Value, (int)extension.DirectoryLength);
        List<BitmapDirectoryEntry> bitmaps = [];
        while (!directory.IsEmpty)
        {
            Assert.True(BitmapDirectoryEntry.TryParse(directory, out BitmapDirectoryEntry? entry, out int length));
            bitmaps.Add(entry!);
            directory = directory[length..];
        }

        Assert.Equal([("b0", (byte)16), ("b1", (byte)12)], bitmaps.Select(static bitmap => (bitmap.Name, bitmap.GranularityBits)));
        Assert.All(bitmaps, bitmap => Assert.True(bitmap.IsValid(header.CreateGeometry(), header.VirtualSize)));
    }

    [Theory]
    [InlineData(0u, 0u, 64, 0x50000, "no bitmaps")]
    [InlineData(65536u, 0u, 64, 0x50000, "too many bitmaps")]
    [InlineData(1u, 1u, 64, 0x50000, "reserved field")]
    [InlineData(1u, 0u, 0, 0x50000, "empty directory")]
    [InlineData(1u, 0u, 65535L * 1024 + 1, 0x50000, "directory too long")]
    [InlineData(1u, 0u, -1, 0x50000, "directory of 2^63 bytes and more")]
    [InlineData(1u, 0u, 64, 0x50001, "directory inside a cluster")]
    [InlineData(1u, 0u, 64, 0, "directory in the header")]
    [InlineData(1u, 0u, 64, -65536, "directory behind 2^63")]
    public void Extension_that_cannot_be_is_not_valid(uint count, uint reserved, long length, long offset, string why)
        => Assert.False(new BitmapsExtension(count, reserved, length, new(offset)).IsValid(s_geometry), why);

    [Fact]
    public void Entry_with_one_wrong_field_is_not_valid()
    {
        BitmapDirectoryEntry sound = new(new(0x50000), TableEntries: 1, Flags: 2, Type: 1, GranularityBits: 16, "b0", ExtraLength: 0);
        Assert.True(sound.IsValid(s_geometry, VirtualSize));
        BitmapDirectoryEntry[] wrong =
        [
            sound with { TableOffset = new(0) },
            sound with { TableOffset = new(0x50200) },
            sound with { TableOffset = new(-65536) },
            sound with { TableEntries = 0 },
            sound with { TableEntries = 8193 },
            sound with { TableEntries = uint.MaxValue },
            sound with { Flags = 8 },
            sound with { Type = 0 },
            sound with { Type = 2 },
            sound with { GranularityBits = 8 },
            sound with { GranularityBits = 32 },
            sound with { GranularityBits = 255 },
            sound with { NameBytes = new byte[1024] },
            sound with { NameBytes = Array.Empty<byte>() },
            sound with { ExtraLength = 8 },
        ];
        Assert.All(wrong, entry => Assert.False(entry.IsValid(s_geometry, VirtualSize), entry.ToString()));
    }

    [Fact]
    public void Bitmap_shorter_than_the_disk_is_valid_only_while_in_use()
    {
        BitmapDirectoryEntry entry = new(new(0x50000), TableEntries: 1, Flags: 0, Type: 1, GranularityBits: 9, "b0", ExtraLength: 0);
        const long covered = 65536L * 8 * 512;
        Assert.True(entry.IsValid(s_geometry, covered));
        Assert.False(entry.IsValid(s_geometry, covered + 1));
        Assert.True((entry with { Flags = 1 }).IsValid(s_geometry, covered + 1));
    }

    [Theory]
    [InlineData(0, 0u, false)]
    [InlineData(23, 0u, false)]
    [InlineData(31, 0u, false)]
    [InlineData(32, 0u, true)]
    [InlineData(32, 8u, false)]
    [InlineData(32, uint.MaxValue, false)]
    public void Entry_that_does_not_end_in_the_directory_is_not_read(int available, uint extraLength, bool isRead)
    {
        byte[] bytes = new byte[64];
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(18), 2);
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(20), extraLength);
        Encoding.ASCII.GetBytes("b0", bytes.AsSpan(24));
        Assert.Equal(isRead, BitmapDirectoryEntry.TryParse(bytes.AsSpan(0, available), out BitmapDirectoryEntry? entry, out int length));
        Assert.Equal(isRead ? ("b0", 32) : (null, 0), (entry?.Name, length));
    }

    [Theory]
    [InlineData(0ul, true)]
    [InlineData(1ul, true)]
    [InlineData(0x50000ul, true)]
    [InlineData(0x50001ul, false)]
    [InlineData(0x50200ul, false)]
    [InlineData(2ul, false)]
    [InlineData(1ul << 56, false)]
    [InlineData(1ul << 63, false)]
    public void Table_entry_is_judged(ulong raw, bool isValid) => Assert.Equal(isValid, new BitmapTableEntry(raw).IsValid(s_geometry));
}
