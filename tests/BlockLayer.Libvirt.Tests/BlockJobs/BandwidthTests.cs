using Xunit;

namespace BlockLayer.Libvirt.Tests.BlockJobs;

/// <summary>Bandwidths in both units, both directions, at every limit.</summary>
public class BandwidthTests
{
    private const long MiB = 1 << 20;

    [Theory]
    [InlineData(0, 0)]
    [InlineData(1, MiB)]
    [InlineData(4095, 4095 * MiB)]
    [InlineData(1L << 32, 1L << 52)]
    public void Mebibytes_become_bytes(ulong given, long expected) => Assert.Equal(expected, Bandwidth.ToBytesPerSecond(given, BandwidthUnit.Mebibytes));

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(1L << 31)]
    [InlineData(1L << 52)]
    public void Bytes_stay_bytes(ulong given) => Assert.Equal((long)given, Bandwidth.ToBytesPerSecond(given, BandwidthUnit.Bytes));

    [Theory]
    [InlineData((1UL << 32) + 1, false)]
    [InlineData(ulong.MaxValue, false)]
    [InlineData(1UL << 44, false)] // times 2^20 it would be 0 in 64 bits: no limit at all
    [InlineData((1UL << 52) + 1, true)]
    [InlineData(ulong.MaxValue, true)]
    public void More_than_2_to_the_52_is_refused(ulong given, bool isBytes)
    {
        BandwidthUnit unit = isBytes ? BandwidthUnit.Bytes : BandwidthUnit.Mebibytes;
        var error = Assert.Throws<LibvirtException>(() => Bandwidth.ToBytesPerSecond(given, unit));
        Assert.Equal(LibvirtErrorCode.Overflow, error.Code);
    }

    [Fact]
    public void The_refusal_says_the_most_in_the_callers_unit()
    {
        var error = Assert.Throws<LibvirtException>(() => Bandwidth.ToBytesPerSecond(1UL << 33, BandwidthUnit.Mebibytes));
        Assert.Equal("bandwidth is 8589934592 MiB/s; allowed are at most 4294967296.", error.Message);
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(1, 1)]
    [InlineData(MiB - 1, 1)]
    [InlineData(MiB, 1)]
    [InlineData(MiB + 1, 2)]
    [InlineData(1L << 52, 1UL << 32)]
    public void Bytes_are_told_in_mebibytes_rounded_up(long bytes, ulong expected)
        => Assert.Equal(expected, Bandwidth.ToClient(bytes, BandwidthUnit.Mebibytes, ClientLong.Bits64));

    [Theory]
    [InlineData(uint.MaxValue, true, true)]
    [InlineData(uint.MaxValue + 1L, true, false)]
    [InlineData(uint.MaxValue + 1L, false, true)]
    [InlineData(1L << 51, false, true)]
    [InlineData(1L << 52, false, false)] // 2^32 MiB/s: one more than 32 bits hold
    public void A_client_of_32_bits_is_told_what_it_can_hold(long bytes, bool inBytes, bool fits)
    {
        BandwidthUnit unit = inBytes ? BandwidthUnit.Bytes : BandwidthUnit.Mebibytes;
        Exception? error = Record.Exception(() => Bandwidth.ToClient(bytes, unit, ClientLong.Bits32));
        Assert.Equal(fits ? null : LibvirtErrorCode.Overflow, (error as LibvirtException)?.Code);
        Assert.True(fits || error!.Message.StartsWith(inBytes ? $"bandwidth is {bytes} bytes/s, " : $"bandwidth is {bytes / MiB} MiB/s, ", StringComparison.Ordinal));
        Bandwidth.ToClient(bytes, unit, ClientLong.Bits64);
    }

    [Fact]
    public void What_is_told_in_mebibytes_gives_at_least_the_same_limit_again()
    {
        var random = new Random(11);
        for (int i = 0; i < 1000; i++)
        {
            long bytes = random.NextInt64(Bandwidth.Most) >> random.Next(52);
            ulong told = Bandwidth.ToClient(bytes, BandwidthUnit.Mebibytes, ClientLong.Bits64);
            long again = Bandwidth.ToBytesPerSecond(told, BandwidthUnit.Mebibytes);
            Assert.InRange(again, bytes, bytes + MiB - 1);
        }
    }
}
