using BlockLayer.Cli.Demo;
using Xunit;

namespace BlockLayer.Tests.Cli.Demo;

public sealed class LatencyLogTests
{
    [Fact]
    public void A_percentile_is_the_time_that_this_share_did_not_exceed()
    {
        var even = new LatencyLog();
        var odd = new LatencyLog();
        for (int i = 100; i >= 1; i--)
        {
            (i % 2 == 0 ? even : odd).Add(TimeSpan.FromMilliseconds(i));
        }

        LatencyLog all = LatencyLog.Merge([even, odd]);
        Assert.Equal(("50.0 ms", "99.0 ms", "100.0 ms"), (all.Percentile(0.5), all.Percentile(0.99), all.Percentile(1)));
        Assert.Equal(100, all.Count);
    }

    [Fact]
    public void Less_than_a_millisecond_is_shown_in_microseconds()
    {
        var log = new LatencyLog();
        log.Add(TimeSpan.FromMicroseconds(42));
        Assert.Equal("42 us", LatencyLog.Merge([log]).Percentile(0.99));
    }

    [Fact]
    public void Without_requests_there_is_no_percentile() => Assert.Equal("-", LatencyLog.Merge([]).Percentile(0.5));
}
