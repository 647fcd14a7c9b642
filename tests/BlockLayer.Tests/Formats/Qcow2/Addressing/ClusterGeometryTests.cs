using BlockLayer.Formats.Qcow2;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Addressing;

public sealed class ClusterGeometryTests
{
    // The examples of the specification's tables: entries are cluster_size / 8, / 16 for extended ones, refcounts cluster_size * 8 / refcount_bits.
    [Theory]
    [InlineData(9, 4, L2EntryFormat.Standard, 64, 256, 512)]
    [InlineData(16, 4, L2EntryFormat.Standard, 8192, 32768, 65536)]
    [InlineData(21, 0, L2EntryFormat.Standard, 262144, 16777216, 2097152)]
    [InlineData(16, 6, L2EntryFormat.Extended, 4096, 8192, 2048)]
    internal void Sizes_follow_from_the_header(int clusterBits, int refcountOrder, L2EntryFormat format, int l2Entries, int refcounts, int subcluster)
    {
        ClusterGeometry g = new(clusterBits, refcountOrder, format);
        Assert.Equal((l2Entries, refcounts, subcluster), (g.L2Entries, g.RefcountBlockEntries, g.SubclusterSize));
        Assert.Equal((long)l2Entries << clusterBits, g.L2TableReach);
    }

    [Fact]
    public void Guest_offset_is_split_into_indices_and_put_together_again()
    {
        ClusterGeometry g = new(9, 4, L2EntryFormat.Standard);
        GuestOffset offset = new((5L * 64 + 7) * 512 + 100);
        GuestCluster cluster = offset.Cluster(g);
        Assert.Equal((5L, 7, 100), (cluster.L1Index(g), cluster.L2Index(g), offset.OffsetInCluster(g)));
        Assert.Equal(offset, cluster.Offset(g).Plus(100));
    }

    [Fact]
    public void Cluster_of_an_unaligned_host_offset_is_not_made_up()
    {
        ClusterGeometry g = new(16, 4, L2EntryFormat.Standard);
        Assert.Null(new HostOffset(65537).ExactCluster(g));
        Assert.Equal(new HostCluster(1), new HostOffset(65536).ExactCluster(g));
        Assert.Equal(new HostCluster(1), new HostOffset(65537).Cluster(g));
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(1, 1)]
    [InlineData(536870912, 1)]
    [InlineData(536870913, 2)]
    [InlineData(long.MaxValue, 17179869184)]
    public void L1_entries_are_rounded_up(long virtualSize, long entries)
        => Assert.Equal(entries, new ClusterGeometry(16, 4, L2EntryFormat.Standard).L1EntriesFor(virtualSize));

    [Fact]
    public void Refcount_of_a_host_cluster_is_found_by_two_indices()
    {
        ClusterGeometry g = new(16, 4, L2EntryFormat.Standard);
        HostCluster cluster = new(3 * 32768 + 9);
        Assert.Equal((3L, 9), (cluster.RefcountTableIndex(g), cluster.RefcountBlockIndex(g)));
    }
}
