using BlockLayer.Primitives;
using Xunit;

namespace BlockLayer.Tests.Primitives;

public class AlignmentTests
{
    [Theory]
    [InlineData(0, 0, 0)]
    [InlineData(1, 0, 512)]
    [InlineData(511, 0, 512)]
    [InlineData(512, 512, 512)]
    [InlineData(513, 512, 1024)]
    public void Values_round_to_the_multiples_around_them(long value, long down, long up)
    {
        Assert.Equal(down, Alignment.RoundDown(value, 512));
        Assert.Equal(up, Alignment.RoundUp(value, 512));
        Assert.Equal(down == up, Alignment.IsAligned(value, 512));
    }

    [Fact]
    public void Rounding_up_past_the_largest_value_is_an_overflow()
        => Assert.Throws<OverflowException>(() => Alignment.RoundUp(long.MaxValue - 1, 512));

    [Theory]
    [InlineData(0, 10, 0)]
    [InlineData(1, 10, 1)]
    [InlineData(10, 10, 1)]
    [InlineData(11, 10, 2)]
    [InlineData(long.MaxValue, 2, (long.MaxValue / 2) + 1)]
    public void A_quotient_rounds_up(long value, long divisor, long quotient) => Assert.Equal(quotient, Alignment.DivideRoundUp(value, divisor));

    [Theory]
    [InlineData(1, 0)]
    [InlineData(65536, 16)]
    [InlineData(1L << 62, 62)]
    public void The_logarithm_of_a_power_of_two_is_exact(long value, int bits) => Assert.Equal(bits, Alignment.Log2(value));
}
