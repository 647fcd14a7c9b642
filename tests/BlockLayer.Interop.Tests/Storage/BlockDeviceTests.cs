using BlockLayer.Errors;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Interop.Tests.Storage;

/// <summary>A block device is a file whose length nobody can change.</summary>
public sealed class BlockDeviceTests : IDisposable
{
    private const int Length = 8 << 20;

    private static readonly CancellationToken s_none = CancellationToken.None;

    private readonly TemporaryFolder _folder = new();
    private readonly LoopDevice _device;

    public BlockDeviceTests()
    {
        try
        {
            _device = new LoopDevice(_folder, Length);
        }
        catch
        {
            // A skip leaves no object behind to be disposed.
            _folder.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        _device.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public async Task Length_kind_and_identity_are_the_device_s()
    {
        await using BlockStorage device = await OpenAsync();

        Assert.Equal(Length, device.Length);
        Assert.Null(device.AllocatedLength);
        Assert.Equal(
            new StorageFileInfo(device.Identity, StorageFileKind.BlockDevice, Length), LocalStorageProvider.Instance.GetInfo(_device.Path));
    }

    [Fact]
    public async Task Bytes_zeroes_and_discards_work_at_any_offset()
    {
        await using BlockStorage device = await OpenAsync();
        byte[] expected = Pattern.Of(0, 100_000, 1);
        await device.WriteAsync(0, expected, s_none);

        await device.WriteZeroesAsync(4096, 8192, ZeroMode.MayUnmap, s_none);
        await device.WriteZeroesAsync(50_001, 777, ZeroMode.KeepAllocated, s_none);
        await device.DiscardAsync(Length - 4096, 1 << 20, s_none);
        await device.FlushAsync(s_none);

        expected.AsSpan(4096, 8192).Clear();
        expected.AsSpan(50_001, 777).Clear();
        byte[] found = new byte[expected.Length];
        await device.ReadAsync(0, found, s_none);
        Assert.Equal(expected, found);
        Assert.Equal(new StorageExtent(Length, IsHole: false), await device.GetExtentAsync(0, Length, s_none));
    }

    [Fact]
    public async Task Device_neither_grows_nor_shrinks()
    {
        await using BlockStorage device = await OpenAsync();

        await device.SetLengthAsync(Length, s_none);
        var length = await Assert.ThrowsAsync<BlockLayerException>(async () => await device.SetLengthAsync(Length - 1, s_none));
        var write = await Assert.ThrowsAsync<BlockLayerException>(async () => await device.WriteAsync(Length - 100, new byte[200], s_none));
        var zeroes = await Assert.ThrowsAsync<BlockLayerException>(
            async () => await device.WriteZeroesAsync(Length - 4096, 8192, ZeroMode.MayUnmap, s_none));

        Assert.Equal(BlockErrorKind.Unsupported, length.Kind);
        Assert.Equal($"The length of a device cannot be set: asked for {Length - 1}, the device has {Length} bytes.", length.Message);
        Assert.Equal(BlockErrorKind.NoSpace, write.Kind);
        Assert.Equal(BlockErrorKind.NoSpace, zeroes.Kind);
    }

    [Fact]
    public async Task Image_locks_hold_on_a_device()
    {
        await using BlockStorage writer = await OpenAsync(ImageLock.Writer);

        QemuResult result = QemuTool.Require("qemu-io").Run("-f", "raw", "-c", "length", _device.Path);

        Assert.Equal(1, result.ExitCode);
        Assert.Contains("Failed to get \"write\" lock", result.Error, StringComparison.Ordinal);
    }

    private ValueTask<BlockStorage> OpenAsync(ImageLock? imageLock = null)
        => LocalStorageProvider.Instance.OpenAsync(_device.Path, new StorageOpenOptions { Writable = true, Lock = imageLock }, s_none);
}
