using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Check;

public sealed class ClusterCountsTests
{
    [Fact]
    public void Numbers_of_any_size_anywhere_are_kept()
    {
        Random random = new(5);
        ClusterCounts counts = new();
        Dictionary<long, ulong> model = [];
        long[] places = [0, 1, 255, 256, 257, 1 << 20, (1 << 20) - 1, int.MaxValue, .. Enumerable.Range(0, 50).Select(_ => random.NextInt64(int.MaxValue))];
        for (int step = 0; step < 20_000; step++)
        {
            long place = places[random.Next(places.Length)];
            ulong before = model.GetValueOrDefault(place);
            if (random.Next(2) == 0)
            {
                Assert.Equal(before < 254, counts.TryIncrement(place));
                model[place] = before < 254 ? before + 1 : before;
            }
            else
            {
                ulong[] values = [0, 1, 253, 254, 255, 256, ulong.MaxValue];
                model[place] = values[random.Next(values.Length)];
                counts[place] = model[place];
            }

            long other = places[random.Next(places.Length)];
            Assert.Equal(model.GetValueOrDefault(other), counts[other]);
        }

        Assert.All(model, pair => Assert.Equal(pair.Value, counts[pair.Key]));
        Assert.Equal(int.MaxValue + 1L, counts.End);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(6)]
    public void Refcount_block_is_taken_over_count_by_count(int order)
    {
        byte[] bytes = new byte[4096];
        new Random(order).NextBytes(bytes);
        RefcountBlock block = new(bytes, order);
        ClusterCounts counts = new();
        counts.SetAll(firstCluster: 1000, block, block.Count);
        Assert.Equal(1000 + block.Count, counts.End);
        for (int i = 0; i < block.Count; i++)
        {
            Assert.Equal(block[i], counts[1000 + i]);
        }
    }

    [Fact]
    public void Run_of_ones_is_recognised_across_pages()
    {
        ClusterCounts counts = new();
        for (int cluster = 100; cluster < 900; cluster++)
        {
            counts[cluster] = 1;
        }

        Assert.True(counts.AreAllOne(100, 800));
        Assert.False(counts.AreAllOne(99, 10));
        Assert.False(counts.AreAllOne(890, 11));
        Assert.False(counts.AreAllOne(5000, 1));
        counts[500] = 2;
        Assert.False(counts.AreAllOne(100, 800));
    }

    // QEMU: the last cluster of a file need not be whole, but a reference a cluster further refers to nothing.
    [Theory]
    [InlineData(0, 1000, 1, 0)]
    [InlineData(2000, 512, 2, 0)]
    [InlineData(2048, 512, 1, 0)]
    [InlineData(3072, 99, 1, 0)]
    [InlineData(3072, 100, 0, 1)]
    [InlineData(1 << 30, 1, 0, 1)]
    [InlineData(-512, 512, 0, 1)]
    [InlineData(long.MaxValue, 512, 0, 1)]
    [InlineData(1000, 0, 0, 0)]
    public void References_are_counted_up_to_the_end_of_the_file(long offset, long length, int clusters, int corruptions)
    {
        ClusterGeometry g = new(10, 4, L2EntryFormat.Standard);
        CheckTally tally = new();
        ReferenceCounter references = new(g, fileLength: 2048 + 100, tally);
        references.Add(new HostOffset(offset), length);
        Assert.Equal(clusters, Enumerable.Range(0, 10).Count(cluster => references.Counts[cluster] == 1));
        Assert.Equal(corruptions, tally[ImageFaultKind.Corruption]);
    }

    [Fact]
    public void More_references_than_a_refcount_can_say_are_so_many_corruptions()
    {
        ClusterGeometry g = new(10, refcountOrder: 1, L2EntryFormat.Standard);
        CheckTally tally = new();
        ReferenceCounter references = new(g, fileLength: 4096, tally);
        references.Add(new HostOffset(1024), 1024, weight: 2);
        references.Add(new HostOffset(1024), 1024, weight: 5);
        Assert.Equal((3ul, 4L), (references.Counts[1], tally[ImageFaultKind.Corruption]));
        ImageCheckFinding finding = Assert.Single(tally.Findings);
        Assert.Equal("Cluster 1 is referred to more than 3 times, the most a refcount of 2 bits can say.", finding.Message);
    }

    [Fact]
    public void Pages_that_exist_are_found_however_far_apart()
    {
        ClusterCounts counts = new();
        counts[(1L << 34) + 1] = 1;
        counts[3] = 1;
        counts[ClusterCounts.PageLength] = 1000;
        Assert.Equal([0, 1, (1L << 34) / ClusterCounts.PageLength], counts.Pages());
    }
}
