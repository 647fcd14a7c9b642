using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Compression;

public sealed class CompressedDescriptorTests
{
    public static TheoryData<int> ClusterBits => [.. Enumerable.Range(9, 13)];

    [Theory]
    [MemberData(nameof(ClusterBits))]
    public void Every_place_and_length_is_read_back_and_covered(int clusterBits)
    {
        ClusterGeometry g = new(clusterBits, 4, L2EntryFormat.Standard);
        foreach (long offset in (long[])[g.ClusterSize, g.ClusterSize + 1, g.ClusterSize + 511, 2L * g.ClusterSize - 1, (1L << 40) + 77])
        {
            foreach (int length in (int[])[1, 2, 511, 512, g.ClusterSize - 1, g.ClusterSize])
            {
                var stream = CompressedDescriptor.ForStream(new(offset), length, g);
                L2Entry entry = L2Entry.ForCompressed(stream, g);
                Assert.Equal(stream, entry.Compressed(g));
                Assert.True(entry.IsCompressed && !entry.IsCopied);
                Assert.InRange(stream.Length - length, 0, 511);
                Assert.Equal(0, stream.End.Value % 512);
                Assert.InRange(stream.LastCluster(g).Index - stream.FirstCluster(g).Index, 0, 1);
            }
        }
    }

    // qcow2 spec: with 64 KiB clusters x is 54, so the sector count starts at bit 54.
    [Fact]
    public void Bits_are_where_the_specification_puts_them()
    {
        ClusterGeometry g = new(16, 4, L2EntryFormat.Standard);
        CompressedDescriptor stream = new L2Entry(1UL << 62 | 2UL << 54 | 0x12345).Compressed(g);
        Assert.Equal((0x12345L, 3 * 512 - 0x145), (stream.Offset.Value, stream.Length));
    }

    [Fact]
    public void Offset_beyond_the_descriptor_is_no_space_and_loses_no_bits()
    {
        ClusterGeometry g = new(21, 4, L2EntryFormat.Standard);
        var error = Assert.Throws<BlockLayerException>(() => CompressedDescriptor.ForStream(new(1L << 49), 100, g));
        Assert.Equal((BlockErrorKind.NoSpace, "A compressed cluster cannot start at byte 562949953421312: with clusters of 2097152 bytes the limit is 562949953421312."), (error.Kind, error.Message));
        Assert.Equal((1L << 49) - 512, CompressedDescriptor.ForStream(new((1L << 49) - 512), 100, g).Offset.Value);
    }
}
