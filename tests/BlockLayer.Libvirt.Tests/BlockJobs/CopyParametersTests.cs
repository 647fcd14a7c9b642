using Xunit;

namespace BlockLayer.Libvirt.Tests.BlockJobs;

/// <summary>The typed parameters of BlockCopy.</summary>
public class CopyParametersTests
{
    [Fact]
    public void Named_parameters_are_read()
    {
        CopyParameters read = CopyParameters.FromNamed([new("bandwidth", 4096), new("granularity", 65536), new("buf-size", 1 << 24)]);
        Assert.Equal(new CopyParameters { Bandwidth = 4096, Granularity = 65536, BufferSize = 1 << 24 }, read);
        read.Check();
        CopyParameters.FromNamed([]).Check();
    }

    [Theory]
    [InlineData("bandwith", 1UL, LibvirtErrorCode.ArgumentUnsupported, "BlockCopy has no parameter 'bandwith'; it has bandwidth, granularity and buf-size.")]
    [InlineData("granularity", 1UL << 32, LibvirtErrorCode.InvalidArg, "granularity is 4294967296; allowed are powers of two from 512 to 67108864.")]
    public void What_no_parameter_takes_is_refused(string name, ulong value, LibvirtErrorCode code, string message)
    {
        var error = Assert.Throws<LibvirtException>(() => CopyParameters.FromNamed([new(name, value)]));
        Assert.Equal((code, message), (error.Code, error.Message));
    }

    [Fact]
    public void A_parameter_given_twice_is_refused()
    {
        var error = Assert.Throws<LibvirtException>(() => CopyParameters.FromNamed([new("buf-size", 1), new("buf-size", 1)]));
        Assert.Equal("The parameter 'buf-size' is given twice.", error.Message);
    }

    [Theory]
    [InlineData(0, true)]
    [InlineData(1, false)]
    [InlineData(256, false)]
    [InlineData(512, true)]
    [InlineData(65535, false)]
    [InlineData(64 << 20, true)]
    [InlineData(128 << 20, false)]
    public void Granularity_is_a_power_of_two_within_limits(uint granularity, bool isAllowed)
    {
        Exception? error = Record.Exception(new CopyParameters { Granularity = granularity }.Check);
        Assert.Equal(isAllowed ? null : LibvirtErrorCode.InvalidArg, (error as LibvirtException)?.Code);
    }

    [Theory]
    [InlineData(1UL << 52, 0UL, true)]
    [InlineData((1UL << 52) + 1, 0UL, false)]
    [InlineData(0UL, long.MaxValue, true)]
    [InlineData(0UL, 1UL << 63, false)]
    public void Numbers_that_do_not_fit_are_refused(ulong bandwidth, ulong bufferSize, bool isAllowed)
    {
        Exception? error = Record.Exception(new CopyParameters { Bandwidth = bandwidth, BufferSize = bufferSize }.Check);
        Assert.Equal(isAllowed ? null : LibvirtErrorCode.Overflow, (error as LibvirtException)?.Code);
    }
}
