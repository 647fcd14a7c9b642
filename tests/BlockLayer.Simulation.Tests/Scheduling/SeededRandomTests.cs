using Xunit;

namespace BlockLayer.Simulation.Tests.Scheduling;

public class SeededRandomTests
{
    [Fact]
    public void The_sequence_of_a_seed_never_changes()
    {
        // From the reference implementation: xoshiro256** over the first four outputs of SplitMix64 from seed 0.
        var random = new SeededRandom(0);
        Assert.Equal(0x99EC5F36CB75F2B4UL, random.NextUInt64());
        Assert.Equal(0xBF6E1F784956452AUL, random.NextUInt64());
        Assert.Equal(0x1A5F849D4933E6E0UL, random.NextUInt64());
    }

    [Fact]
    public void Numbers_below_a_bound_are_all_met_about_equally_often()
    {
        var random = new SeededRandom(7);
        int[] met = new int[7];
        for (int i = 0; i < 70_000; i++)
        {
            met[random.Next(7)]++;
        }

        Assert.All(met, count => Assert.InRange(count, 9_500, 10_500));
    }

    [Fact]
    public void A_fork_depends_on_its_purpose_and_leaves_the_parent_alone()
    {
        var parent = new SeededRandom(9);
        ulong first = parent.Fork(1).NextUInt64();
        Assert.Equal(first, parent.Fork(1).NextUInt64());
        Assert.NotEqual(first, parent.Fork(2).NextUInt64());
        Assert.Equal(new SeededRandom(9).NextUInt64(), parent.NextUInt64());
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(8)]
    [InlineData(21)]
    public void Filling_reaches_every_byte(int length)
    {
        var random = new SeededRandom(3);
        byte[] union = new byte[length];
        byte[] buffer = new byte[length];
        for (int round = 0; round < 64; round++)
        {
            random.Fill(buffer);
            for (int i = 0; i < length; i++)
            {
                union[i] |= buffer[i];
            }
        }

        Assert.All(union, value => Assert.Equal(0xFF, value));
    }
}
