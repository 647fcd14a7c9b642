using BlockLayer.Primitives;
using Xunit;

namespace BlockLayer.Tests.Primitives;

public class ByteRangeTests
{
    [Theory]
    [InlineData(0, 10, 10, 5, false)]
    [InlineData(0, 11, 10, 5, true)]
    [InlineData(12, 1, 10, 5, true)]
    [InlineData(15, 1, 10, 5, false)]
    [InlineData(12, 0, 10, 5, false)]
    [InlineData(10, 0, 10, 0, false)]
    public void Two_ranges_overlap_when_they_share_a_byte(long offset, long length, long otherOffset, long otherLength, bool overlap)
    {
        var range = new ByteRange(offset, length);
        var other = new ByteRange(otherOffset, otherLength);
        Assert.Equal(overlap, range.Overlaps(other));
        Assert.Equal(overlap, other.Overlaps(range));
    }

    [Theory]
    [InlineData(10, 5, true)]
    [InlineData(9, 5, false)]
    [InlineData(11, 5, false)]
    [InlineData(12, 0, true)]
    [InlineData(15, 0, true)]
    [InlineData(16, 0, false)]
    public void A_range_contains_what_lies_inside(long offset, long length, bool contains)
        => Assert.Equal(contains, new ByteRange(10, 5).Contains(new ByteRange(offset, length)));

    [Theory]
    [InlineData(0, 4096, 0, 4096)]
    [InlineData(1, 4094, 0, 4096)]
    [InlineData(4095, 2, 0, 8192)]
    [InlineData(long.MaxValue - 4096, 1, long.MaxValue - 8191, 4096)]
    public void Rounding_out_covers_whole_units(long offset, long length, long outOffset, long outLength)
        => Assert.Equal(new ByteRange(outOffset, outLength), new ByteRange(offset, length).RoundOut(4096));

    [Fact]
    public void Rounding_out_past_the_end_of_the_address_space_is_an_overflow()
        => Assert.Throws<OverflowException>(() => new ByteRange(long.MaxValue - 10, 10).RoundOut(4096));

    [Theory]
    [InlineData(0, 4096, 0, 4096)]
    [InlineData(1, 8191, 4096, 4096)]
    [InlineData(1, 4096, 1, 0)]
    [InlineData(4095, 4097, 4096, 4096)]
    [InlineData(5000, 0, 5000, 0)]
    [InlineData(long.MaxValue - 10, 10, long.MaxValue - 10, 0)]
    public void Rounding_in_keeps_whole_units(long offset, long length, long inOffset, long inLength)
        => Assert.Equal(new ByteRange(inOffset, inLength), new ByteRange(offset, length).RoundIn(4096));

    [Theory]
    [InlineData(30, 20)]
    [InlineData(25, 15)]
    [InlineData(10, 0)]
    [InlineData(0, 0)]
    public void Clamping_keeps_what_lies_below(long end, long length)
        => Assert.Equal(new ByteRange(10, length), new ByteRange(10, 20).ClampTo(end));

    [Fact]
    public void A_range_reads_as_an_interval() => Assert.Equal("[0x200, 0x1000)", new ByteRange(512, 3584).ToString());
}
