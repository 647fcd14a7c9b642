using System.Xml.Linq;
using BlockLayer.Errors;
using BlockLayer.Simulation;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using Xunit;
using static BlockLayer.Libvirt.Tests.BlockJobs.BlockJobWorld;

namespace BlockLayer.Libvirt.Tests.BlockJobs;

/// <summary>Copies to a device, and what is not done to one.</summary>
public class BlockDeviceTests
{
    private const string Device = "/dev/vg/lv";
    private const BlockRebaseFlags ToDevice = BlockRebaseFlags.Copy | BlockRebaseFlags.CopyDevice;

    [Theory]
    [InlineData(ToDevice | BlockRebaseFlags.CopyRaw)]
    [InlineData(ToDevice | BlockRebaseFlags.CopyRaw | BlockRebaseFlags.ReuseExternal)]
    [InlineData(BlockRebaseFlags.Copy | BlockRebaseFlags.CopyRaw)]
    public void A_device_is_filled_and_described_as_one(BlockRebaseFlags flags) => RunWithDevice(async world =>
    {
        DiskJob job = await world.Api.RebaseAsync(world.Domain, "vda", Device, 0, flags);
        Assert.Equal(BlockJobStatus.Completed, await world.EndAsync(job));
        XElement disk = XElement.Parse(world.Domain.GetXml()).Element("devices")!.Element("disk")!;
        Assert.Equal(("block", Device), (disk.Attribute("type")!.Value, disk.Element("source")!.Attribute("dev")!.Value));
        Assert.Equal(("lv", "raw"), (world.Describe(), world.Disk.Format));
        await world.AssertContentAsync();
    });

    [Fact]
    public void No_image_is_made_on_a_device() => RunWithDevice(async world =>
    {
        var error = await Assert.ThrowsAsync<LibvirtException>(async () => await world.Api.RebaseAsync(world.Domain, "vda", Device, 0, ToDevice));
        Assert.Equal(LibvirtErrorCode.ConfigUnsupported, error.Code);
        Assert.Contains("REUSE_EXT", error.Message, StringComparison.Ordinal);
        Assert.Null(world.Disk.Job);
    });

    [Fact]
    public void A_copy_that_fails_leaves_the_device() => RunWithDevice(async world =>
    {
        world.Machine.Storage.Faults.Add(new FaultRule { Operations = StorageOperations.AnyChange, Path = Device, Kind = BlockErrorKind.Io });
        DiskJob job = await world.Api.RebaseAsync(world.Domain, "vda", Device, 0, ToDevice | BlockRebaseFlags.CopyRaw);
        Assert.Equal((BlockJobStatus.Failed, LibvirtErrorCode.SystemError), ((await job.Completion).Status, (await job.Completion).Error?.Code));
        Assert.Equal("top.img mid.img base.img", world.Describe());
        Assert.True(world.Exists(Device));
    });

    [Fact]
    public void A_committed_device_is_not_deleted() => RunWithDevice(async world =>
    {
        LibvirtError? error = await UnneededFiles.DeleteAsync(new DeviceFiles(world.Machine.Storage, Device), [Device, "/vm/no-such-file"]);
        Assert.Null(error);
        Assert.True(world.Exists(Device));
    });

    private static void RunWithDevice(Func<BlockJobWorld, Task> test)
        => Run(test, files: machine => new DeviceFiles(machine.Storage, Device), before: async machine =>
        {
            var make = new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateNew };
            await using BlockStorage device = await machine.Storage.OpenAsync(Device, make, CancellationToken.None);
            await device.SetLengthAsync(4L * Units * Unit, CancellationToken.None);
        });
}
