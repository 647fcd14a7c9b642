using BlockLayer.Primitives;
using Xunit;

namespace BlockLayer.Tests.Primitives;

public class ByteSizeTests
{
    [Theory]
    [InlineData("0", 0)]
    [InlineData("4194304", 4194304)]
    [InlineData(" 512 ", 512)]
    [InlineData("512b", 512)]
    [InlineData("64k", 65536)]
    [InlineData("64K", 65536)]
    [InlineData("10 MiB", 10L << 20)]
    [InlineData("10MB", 10L << 20)]
    [InlineData("10mib", 10L << 20)]
    [InlineData("1.5G", 3L << 29)]
    [InlineData("0.5k", 512)]
    [InlineData("1.0", 1)]
    [InlineData("7E", 7L << 60)]
    [InlineData("9223372036854775807", long.MaxValue)]
    [InlineData("0.1K", 102)]
    public void A_size_is_read_in_units_of_1024(string text, long bytes)
    {
        Assert.True(ByteSize.TryParse(text, out long parsed));
        Assert.Equal(bytes, parsed);
    }

    [Theory]
    [InlineData("")]
    [InlineData(" ")]
    [InlineData("K")]
    [InlineData(".")]
    [InlineData("-1")]
    [InlineData("+1")]
    [InlineData("1e3")]
    [InlineData("0x10")]
    [InlineData("1.2.3K")]
    [InlineData("1,5G")]
    [InlineData("1KK")]
    [InlineData("1Ki")]
    [InlineData("1iB")]
    [InlineData("1BB")]
    [InlineData("1Z")]
    [InlineData("1.5")]
    [InlineData("1.5B")]
    [InlineData("8E")]
    [InlineData("9223372036854775808")]
    [InlineData("4611686018427387904E")]
    [InlineData("99999999999999999999999999999999")]
    public void What_is_no_size_is_refused(string text) => Assert.False(ByteSize.TryParse(text, out _));

    [Theory]
    [InlineData(0, "0 B")]
    [InlineData(1023, "1023 B")]
    [InlineData(-5, "-5 B")]
    [InlineData(1024, "1 KiB")]
    [InlineData(1536, "1.5 KiB")]
    [InlineData((1 << 20) - 1, "1 MiB")]
    [InlineData(10L << 30, "10 GiB")]
    [InlineData(-(2L << 40), "-2 TiB")]
    [InlineData(long.MaxValue, "8 EiB")]
    public void A_size_is_written_in_its_largest_unit(long bytes, string text) => Assert.Equal(text, ByteSize.Format(bytes));
}
