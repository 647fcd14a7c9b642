using Xunit;

namespace BlockLayer.Libvirt.Tests.Disks;

/// <summary>Where copies may go.</summary>
public class CopyDestinationTests
{
    [Theory]
    [InlineData(8, false, null)]
    [InlineData(8 | 4, false, "raw")]
    [InlineData(8 | 32, true, null)]
    [InlineData(8 | 32 | 4, true, "raw")]
    public void A_rebase_with_COPY_says_file_or_device_and_format(int flags, bool isBlock, string? format)
        => Assert.Equal(new CopyDestination(new DiskSource(isBlock, "/vm/copy"), format), CopyDestination.FromRebase("/vm/copy", (BlockRebaseFlags)flags));

    [Theory]
    [InlineData("copy")]
    [InlineData("")]
    [InlineData("./copy")]
    [InlineData("/a\0b")]
    public void A_rebase_with_COPY_needs_an_absolute_path(string path)
        => Assert.Equal(LibvirtErrorCode.InvalidArg, Assert.Throws<LibvirtException>(() => CopyDestination.FromRebase(path, BlockRebaseFlags.Copy)).Code);

    [Theory]
    [InlineData("<disk type='file'><driver type='qcow2'/><source file='/vm/c'/><target dev='ignored'/></disk>", false, "qcow2")]
    [InlineData("<disk type='block'><source dev='/dev/x'/></disk>", true, null)]
    public void A_description_is_read_and_the_guests_side_of_it_ignored(string xml, bool isBlock, string? format)
    {
        CopyDestination read = CopyDestination.FromXml(xml);
        Assert.Equal((isBlock, format), (read.Source.IsBlockDevice, read.Format));
    }

    [Theory]
    [InlineData("<disk type='file'/>", LibvirtErrorCode.XmlError)]
    [InlineData("<domain/>", LibvirtErrorCode.XmlError)]
    [InlineData("<disk", LibvirtErrorCode.XmlDetail)]
    [InlineData("<disk type='file'><source file='copy.img'/></disk>", LibvirtErrorCode.InvalidArg)]
    [InlineData("<disk><driver type='qcow2'/><source file='/vm/c'/><encryption format='luks'/></disk>", LibvirtErrorCode.ConfigUnsupported)]
    [InlineData("<disk><driver type='raw'/><source file='/vm/c'><encryption format='luks'/></source></disk>", LibvirtErrorCode.ConfigUnsupported)]
    [InlineData("<disk type='network'><source protocol='nbd'/></disk>", LibvirtErrorCode.ConfigUnsupported)]
    public void A_description_without_a_local_source_is_refused(string xml, LibvirtErrorCode code)
        => Assert.Equal(code, Assert.Throws<LibvirtException>(() => CopyDestination.FromXml(xml)).Code);

    [Theory]
    [InlineData(0, BlockCopyFlags.None)]
    [InlineData(1, BlockCopyFlags.Shallow)]
    [InlineData(2, BlockCopyFlags.ReuseExternal)]
    [InlineData(1 | 2 | 4 | 8 | 32 | 64, BlockCopyFlags.Shallow | BlockCopyFlags.ReuseExternal)]
    public void Flags_of_a_rebase_become_those_of_a_copy(int flags, BlockCopyFlags expected) => Assert.Equal(expected, CopyDestination.FlagsOf((BlockRebaseFlags)flags));

    [Theory]
    [InlineData("/vm/new.img", null, 0, LibvirtErrorCode.Ok)]
    [InlineData("/vm/new.img", null, 2, LibvirtErrorCode.SystemError)]
    [InlineData("/vm/base.img", null, 0, LibvirtErrorCode.ConfigUnsupported)]
    [InlineData("/vm/base.img", null, 2, LibvirtErrorCode.Ok)]
    [InlineData("/vm/new.img", "raw", 1, LibvirtErrorCode.ConfigUnsupported)]
    [InlineData("/vm/base.img", "raw", 3, LibvirtErrorCode.ConfigUnsupported)]
    [InlineData("/vm/new.img", "qcow2", 1, LibvirtErrorCode.Ok)]
    [InlineData("block:/vm/new.img", null, 0, LibvirtErrorCode.SystemError)]
    [InlineData("block:/vm/base.img", null, 0, LibvirtErrorCode.ConfigUnsupported)]
    [InlineData("block:/vm/base.img", null, 2, LibvirtErrorCode.InvalidArg)]
    public async Task A_destination_is_looked_at_before_the_copy_starts(string path, string? format, int flags, LibvirtErrorCode expected)
    {
        await using var world = new LibvirtWorld();
        DomainDisk disk = (await world.StartChainOfThreeAsync()).FindDisk("vda");
        bool isBlock = path.StartsWith("block:", StringComparison.Ordinal);
        var destination = new CopyDestination(new DiskSource(isBlock, isBlock ? path[6..] : path), format);
        Exception? error = Record.Exception(() => destination.Check((BlockCopyFlags)flags, disk, world.Files));
        Assert.Equal(expected, (error as LibvirtException)?.Code ?? LibvirtErrorCode.Ok);
    }

    [Fact]
    public async Task A_shallow_copy_of_a_disk_of_one_image_is_a_full_one()
    {
        await using var world = new LibvirtWorld();
        DomainDisk deep = (await world.StartChainOfThreeAsync()).FindDisk("vda");
        await world.CreateChainAsync(("/vm/flat.img", null));
        DomainDisk flat = (await world.Connection.CreateAsync(LibvirtWorld.DomainXml("flat", LibvirtWorld.DiskXml("vda", "/vm/flat.img")))).FindDisk("vda");
        const BlockCopyFlags Both = BlockCopyFlags.Shallow | BlockCopyFlags.SynchronousWrites;
        Assert.Equal(Both, CopyDestination.Effective(Both, deep));
        Assert.Equal(BlockCopyFlags.SynchronousWrites, CopyDestination.Effective(Both, flat));
    }
}
