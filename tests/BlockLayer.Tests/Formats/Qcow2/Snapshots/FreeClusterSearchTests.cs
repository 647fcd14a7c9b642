using BlockLayer.Formats.Qcow2;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Snapshots;

public sealed class FreeClusterSearchTests
{
    [Fact]
    public void Many_tables_of_several_clusters_are_placed_in_one_pass_over_the_file()
    {
        // Gaps of three clusters, so that no table fits before the end.
        const int Clusters = 40_000;
        const int Tables = 500;
        ClusterCounts taken = new();
        for (int cluster = 0; cluster < Clusters; cluster++)
        {
            taken[cluster] = cluster % 4 == 0 ? 1UL : 0;
        }

        FreeClusterSearch search = new(taken);
        for (int table = 0; table < Tables; table++)
        {
            Take(search, taken, 4 + (table % 5));
        }

        int together = Enumerable.Range(0, Tables).Sum(static table => 4 + (table % 5));
        Assert.InRange(search.Examined, Clusters, Clusters + together);
    }

    [Fact]
    public void Single_clusters_fill_the_gaps_that_were_too_short_for_a_table()
    {
        ClusterCounts taken = new();
        foreach (int cluster in new[] { 0, 2, 5 })
        {
            taken[cluster] = 1;
        }

        FreeClusterSearch search = new(taken);
        Assert.Equal([6, 1, 3, 4, 9, 11], new[] { 3, 1, 1, 1, 2, 1 }.Select(count => Take(search, taken, count).Index));
    }

    private static HostCluster Take(FreeClusterSearch search, ClusterCounts taken, int count)
    {
        HostCluster first = search.Find(count);
        for (int i = 0; i < count; i++)
        {
            Assert.Equal(0UL, taken[first.Index + i]);
            taken[first.Index + i] = 1;
        }

        return first;
    }
}
