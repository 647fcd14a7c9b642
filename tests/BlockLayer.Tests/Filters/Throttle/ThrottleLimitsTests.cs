using BlockLayer.Filters;
using Xunit;

namespace BlockLayer.Tests.Filters;

public class ThrottleLimitsTests
{
    [Theory]
    [InlineData("")]
    [InlineData("bps-total=10485760")]
    [InlineData("bps-read=1,bps-write=2,iops-read=3,iops-write=4")]
    [InlineData("bps-total=100,bps-total-max=200,bps-total-max-length=60,iops-total=5,iops-total-max=5,iops-size=4096")]
    public void Limits_are_what_their_text_says(string text) => Assert.Equal(text, ThrottleLimits.Parse(text).ToString());

    [Fact]
    public void Words_and_fields_belong_together()
    {
        ThrottleLimits limits = ThrottleLimits.Parse("bps-write=1M, bps-write-max=2M, bps-write-max-length=3, iops-total=100, iops-size=4K");
        Assert.Equal(new ThrottleLimit { Average = 1 << 20, BurstRate = 2 << 20, BurstLength = TimeSpan.FromSeconds(3) }, limits.WriteBytes);
        Assert.Equal((100, 4096), (limits.Operations.Average, limits.OperationSize));
        Assert.Equal(ThrottleLimit.None, limits.Bytes);
    }

    [Theory]
    [InlineData("bps-total", "'bps-total' is no limit; expected is a word and a number, such as bps-total=10M.")]
    [InlineData("bps-total=fast", "'bps-total=fast' is no limit")]
    [InlineData("bps=1", "'bps' is no limit; known are bps and iops")]
    [InlineData("iops-read=1,iops-read=2", "'iops-read' is said twice.")]
    [InlineData("bps-total=1,bps-read=1", "bps-total is set together with bps-read or bps-write; it is one or the other.")]
    [InlineData("iops-write=1,iops-total=1", "iops-total is set together with iops-read or iops-write; it is one or the other.")]
    [InlineData("bps-total-max=1", "bps-total-max is set without bps-total.")]
    [InlineData("bps-total=2,bps-total-max=1", "bps-total-max is 1; expected is at least bps-total, 2.")]
    [InlineData("bps-total=2,bps-total-max-length=2", "bps-total-max-length is 2 s; expected is at least 1, and more only with bps-total-max.")]
    [InlineData("bps-total=2,bps-total-max=2,bps-total-max-length=0", "bps-total-max-length is 0 s; expected is at least 1")]
    [InlineData("bps-total=1P", "bps-total is 1125899906842624 with bursts of 0; allowed is 0 to 1000000000000000.")]
    [InlineData("iops-size=4096", "iops-size is 4096; expected is a number of bytes, and only with a limit of iops.")]
    public void What_makes_no_sense_is_refused_and_says_why(string text, string message)
        => Assert.Contains(message, Assert.Throws<ArgumentException>(() => ThrottleLimits.Parse(text)).Message, StringComparison.Ordinal);
}
