using BlockLayer.Formats.Qed;
using Xunit;

namespace BlockLayer.Tests.Formats.Qed;

public sealed class ClusterSetTests
{
    [Fact]
    public void Ranges_are_added_whole_or_not_at_all_as_in_a_plain_set()
    {
        var random = new Random(5);
        var plain = new HashSet<long>();
        var set = new ClusterSet();
        for (int i = 0; i < 2000; i++)
        {
            long first = random.Next(20_000);
            int count = random.Next(1, random.Next(2) == 0 ? 4 : 1200);
            long[] range = [.. Enumerable.Range(0, count).Select(n => first + n)];
            bool free = !range.Any(plain.Contains);
            if (free)
            {
                plain.UnionWith(range);
            }

            Assert.Equal(free, set.TryAddRange(first, count));
            Assert.Equal(plain.Count, set.Count);
        }

        Assert.All(Enumerable.Range(0, 22_000), cluster => Assert.Equal(!plain.Contains(cluster), set.Add(cluster)));
    }
}
