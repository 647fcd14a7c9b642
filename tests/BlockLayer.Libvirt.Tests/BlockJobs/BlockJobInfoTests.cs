using Xunit;

namespace BlockLayer.Libvirt.Tests.BlockJobs;

/// <summary>Programs take cur == end for "ready" or "done", so it must not be said before.</summary>
public class BlockJobInfoTests
{
    [Theory]
    [InlineData(0, 0, false, 0, 1)]      // nothing counted yet: as if there were something left
    [InlineData(0, 0, true, 1, 1)]       // nothing to do, and done
    [InlineData(0, 100, false, 0, 100)]
    [InlineData(50, 100, false, 50, 100)]
    [InlineData(100, 100, false, 99, 100)] // all counted, not ready: one short
    [InlineData(100, 100, true, 100, 100)]
    [InlineData(1, 1, false, 0, 1)]
    public void Progress_is_told_by_the_rules(long current, long end, bool isReady, ulong expectedCur, ulong expectedEnd)
    {
        var job = new JobReading(BlockJobType.Copy, BytesPerSecond: 0, current, end, isReady);
        BlockJobInfo info = BlockJobInfo.Of(job, BlockJobInfoFlags.None, ClientLong.Bits64);
        Assert.Equal((expectedCur, expectedEnd), (info.Cur, info.End));
    }

    [Theory]
    [InlineData(0, 3)]
    [InlineData(1, 2 * 1024 * 1024 + 1)]
    public void The_bandwidth_is_in_the_unit_that_was_asked_for(int flags, ulong expected)
    {
        var job = new JobReading(BlockJobType.Pull, BytesPerSecond: (2 << 20) + 1, 1, 2, IsReady: false);
        Assert.Equal(expected, BlockJobInfo.Of(job, (BlockJobInfoFlags)flags, ClientLong.Bits32).Bandwidth);
    }

    [Fact]
    public void A_bandwidth_that_does_not_fit_is_an_error_and_no_small_number()
    {
        var job = new JobReading(BlockJobType.Pull, BytesPerSecond: 1L << 33, 1, 2, IsReady: false);
        var error = Assert.Throws<LibvirtException>(() => BlockJobInfo.Of(job, BlockJobInfoFlags.BandwidthBytes, ClientLong.Bits32));
        Assert.Equal(LibvirtErrorCode.Overflow, error.Code);
    }
}
