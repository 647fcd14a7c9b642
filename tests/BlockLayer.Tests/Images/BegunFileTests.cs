using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Images;

/// <summary>What becomes of a file that was to be an image, when making the image fails.</summary>
public class BegunFileTests
{
    private const string Device = "/dev/vg/lv";
    private const int Length = 1 << 20;

    private readonly MemoryStorageProvider _files = new();

    [Theory]
    [InlineData("raw")]
    [InlineData("qcow2")]
    [InlineData("qed")]
    public async Task A_device_that_an_image_does_not_fit_on_is_not_deleted(string format)
    {
        await using (BlockStorage device = await _files.OpenAsync(Device, new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateNew }, CancellationToken.None))
        {
            await device.SetLengthAsync(4 * Length, CancellationToken.None);
        }

        var environment = BlockEnvironment.Default with { Files = new DeviceFiles(_files, Device) };
        var creator = new ImageCreator(BuiltInFormats.All, environment);
        await Assert.ThrowsAsync<BlockLayerException>(async () => await creator.CreateAsync(Device, new NewImage { Format = format, Length = Length }, OpenPolicy.Default));
        Assert.Equal(4 * Length, _files.GetInfo(Device)?.Length);
    }
}
