using BlockLayer.Errors;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Storage;

public sealed class NullStorageTests
{
    private static readonly CancellationToken s_none = CancellationToken.None;

    [Fact]
    public async Task Reads_are_zeroes_whatever_was_written()
    {
        await using var file = new NullStorage(1000);
        byte[] buffer = Pattern.Of(0, 1000, 1);

        await file.WriteAsync(0, buffer, s_none);
        await file.ReadAsync(0, buffer, s_none);

        Assert.Equal(new byte[1000], buffer);
        Assert.Equal(new StorageExtent(1000, IsHole: true), await file.GetExtentAsync(0, 1000, s_none));
    }

    [Fact]
    public async Task Length_grows_with_writes_and_bounds_reads()
    {
        await using var file = new NullStorage(1000);

        await file.WriteAsync(1500, new byte[100], s_none);
        await file.WriteZeroesAsync(0, 10, ZeroMode.MayUnmap, s_none);

        Assert.Equal(1600, file.Length);
        var error = await Assert.ThrowsAsync<BlockLayerException>(async () => await file.ReadAsync(1500, new byte[101], s_none));
        Assert.Equal(BlockErrorKind.Io, error.Kind);
        Assert.Equal("Read of 101 bytes at 1500 met the end of the file, which is 1600 bytes long.", error.Message);
    }

    [Fact]
    public void Two_of_them_are_two_files()
        => Assert.NotEqual(new NullStorage(0).Identity, new NullStorage(0).Identity);
}
