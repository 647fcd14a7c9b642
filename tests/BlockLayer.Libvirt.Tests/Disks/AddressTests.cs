using Xunit;

namespace BlockLayer.Libvirt.Tests.Disks;

/// <summary>Which disk, and which image of its chain, a name means.</summary>
public class AddressTests
{
    [Theory]
    [InlineData("vda", "vda")]
    [InlineData("vdb", "vdb")]
    [InlineData("/vm/top.img", "vda")]
    [InlineData("/vm/other.img", "vdb")]
    [InlineData("top.img", null)]       // paths are absolute
    [InlineData("/vm/mid.img", null)]   // no disk's source: an image of a chain
    [InlineData("/vm/./top.img", null)] // spelled as the description spells it
    [InlineData("vda[1]", null)]
    [InlineData("VDA", null)]
    [InlineData("vdc", null)]
    [InlineData(" ", null)]
    public async Task A_disk_is_named_by_its_target_or_its_source(string name, string? expected)
    {
        await using var world = new LibvirtWorld();
        Domain domain = await StartTwoDisksAsync(world);
        if (expected is not null)
        {
            Assert.Equal(expected, domain.FindDisk(name).Target);
            return;
        }

        var error = Assert.Throws<LibvirtException>(() => domain.FindDisk(name));
        Assert.Equal((LibvirtErrorCode.InvalidArg, $"The domain 'vm' has no disk '{name}'; it has vda, vdb."), (error.Code, error.Message));
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    public async Task No_name_is_refused(string? name)
    {
        await using var world = new LibvirtWorld();
        Domain domain = await StartTwoDisksAsync(world);
        Assert.Equal(LibvirtErrorCode.InvalidArg, Assert.Throws<LibvirtException>(() => domain.FindDisk(name)).Code);
    }

    [Fact]
    public async Task A_source_that_two_disks_have_is_ambiguous()
    {
        await using var world = new LibvirtWorld();
        await world.CreateChainAsync(("/vm/shared.img", null));
        Domain domain = await world.Connection.CreateAsync(LibvirtWorld.DomainXml(
            "vm",
            LibvirtWorld.DiskXml("vda", "/vm/shared.img", more: "<readonly/>"),
            LibvirtWorld.DiskXml("vdb", "/vm/shared.img", more: "<readonly/>")));
        var error = Assert.Throws<LibvirtException>(() => domain.FindDisk("/vm/shared.img"));
        Assert.Equal(LibvirtErrorCode.InvalidArg, error.Code);
        Assert.Equal("'/vm/shared.img' is ambiguous: it is the source of vda and vdb. Name the disk by its target.", error.Message);
        Assert.Equal("vdb", domain.FindDisk("vdb").Target);
    }

    // The chain is base.img <- mid.img <- top.img in /vm, recorded by relative names.
    [Theory]
    [InlineData("/vm/top.img", 0)]
    [InlineData("/vm/mid.img", 1)]
    [InlineData("/vm/base.img", 2)]
    [InlineData("vda", 0)]
    [InlineData("vda[1]", 1)]
    [InlineData("vda[2]", 2)]
    [InlineData("vda[02]", 2)]
    [InlineData("mid.img", 1)]      // as top.img records it
    [InlineData("base.img", 2)]     // as mid.img records it
    [InlineData("/vm/./mid.img", 1)] // another spelling of the file
    [InlineData("./base.img", 2)]
    [InlineData("vda[0]", -1)]
    [InlineData("vda[3]", -1)]
    [InlineData("vda[99999999999999999999]", -1)]
    [InlineData("vda[-1]", -1)]
    [InlineData("vda[+1]", -1)]
    [InlineData("vda[ 1]", -1)]
    [InlineData("vda[]", -1)]
    [InlineData("vda[1", -1)]
    [InlineData("vda[1]x", -1)]
    [InlineData("[1]", -1)]
    [InlineData("vdb[1]", -1)]
    [InlineData("/vm/mid.img[1]", -1)]
    [InlineData("/vm/none.img", -1)]
    [InlineData("top.img", -1)] // nobody records the active image
    [InlineData("", -1)]
    [InlineData("a\0b", -1)]
    public async Task An_image_of_a_chain_is_named_by_path_or_index(string name, int expected)
    {
        await using var world = new LibvirtWorld();
        Domain domain = await world.StartChainOfThreeAsync();
        var address = new ChainAddress("vda", domain.FindDisk("vda").Chain, world.Files);
        if (expected >= 0)
        {
            Assert.Equal(expected, address.Find(name).Index);
            return;
        }

        var error = Assert.Throws<LibvirtException>(() => address.Find(name));
        Assert.Equal((LibvirtErrorCode.InvalidArg, LibvirtErrorDomain.Storage), (error.Code, error.Error.Domain));
    }

    [Theory]
    [InlineData("vda[7]", "The chain of 'vda' has no backing store 7; it has 1 to 2.")]
    [InlineData("vdb[1]", "'vdb[1]' is an image of the disk 'vdb', and the call is about 'vda'.")]
    [InlineData("/x", "'/x' is not in the chain of 'vda': /vm/base.img <- /vm/mid.img <- /vm/top.img.")]
    public async Task A_refusal_says_what_there_is(string name, string message)
    {
        await using var world = new LibvirtWorld();
        Domain domain = await world.StartChainOfThreeAsync();
        Assert.Equal(message, Assert.Throws<LibvirtException>(() => domain.FindDisk("vda").FindPullBase(name)).Message);
    }

    [Fact]
    public async Task A_recorded_name_that_two_images_have_is_ambiguous_and_a_path_is_not()
    {
        await using var world = new LibvirtWorld();
        await world.CreateChainAsync(("/vm/a/a/x.img", null), ("/vm/a/x.img", "a/x.img"), ("/vm/top.img", "a/x.img"));
        Domain domain = await world.Connection.CreateAsync(LibvirtWorld.DomainXml("vm", LibvirtWorld.DiskXml("vda", "/vm/top.img")));
        DomainDisk disk = domain.FindDisk("vda");
        var error = Assert.Throws<LibvirtException>(() => disk.FindPullBase("a/x.img"));
        Assert.Equal(LibvirtErrorCode.InvalidArg, error.Code);
        Assert.Equal(
            "'a/x.img' is ambiguous in the chain of 'vda': it means '/vm/a/x.img' (index 1) and '/vm/a/a/x.img' (index 2). Name the image by its index.",
            error.Message);
        Assert.Equal(2, disk.FindPullBase("/vm/a/a/x.img")!.Index);
    }

    // top, base, SHALLOW -> index of top, index of base; -1 is refused.
    [Theory]
    [InlineData(null, null, false, 0, 2)]
    [InlineData(null, null, true, 0, 1)]
    [InlineData(null, "vda[1]", false, 0, 1)]
    [InlineData(null, "vda[1]", true, 0, 1)]
    [InlineData(null, "vda[2]", true, 0, -1)]
    [InlineData("vda", null, false, 0, 2)]
    [InlineData("vda[1]", null, false, 1, 2)]
    [InlineData("vda[1]", null, true, 1, 2)]
    [InlineData("vda[1]", "/vm/base.img", true, 1, 2)]
    [InlineData("vda[1]", "vda[1]", false, 1, -1)]
    [InlineData("vda[1]", "/vm/top.img", false, 1, -1)]
    [InlineData("/vm/mid.img", "vda", false, 1, -1)]
    [InlineData("vda[2]", null, false, -1, -1)]
    [InlineData("/vm/base.img", null, true, -1, -1)]
    [InlineData("vda[5]", null, false, -1, -1)]
    public async Task A_commit_finds_its_top_and_base(string? top, string? @base, bool isShallow, int expectedTop, int expectedBase)
    {
        await using var world = new LibvirtWorld();
        DomainDisk disk = (await world.StartChainOfThreeAsync()).FindDisk("vda");
        BlockCommitFlags flags = isShallow ? BlockCommitFlags.Shallow : BlockCommitFlags.None;
        if (expectedTop < 0)
        {
            Assert.Equal(LibvirtErrorCode.InvalidArg, Assert.Throws<LibvirtException>(() => disk.FindTop(top)).Code);
            return;
        }

        ChainElement found = disk.FindTop(top);
        Assert.Equal(expectedTop, found.Index);
        if (expectedBase < 0)
        {
            Assert.Equal(LibvirtErrorCode.InvalidArg, Assert.Throws<LibvirtException>(() => disk.FindCommitBase(@base, found, flags)).Code);
            return;
        }

        Assert.Equal(expectedBase, disk.FindCommitBase(@base, found, flags).Index);
    }

    [Theory]
    [InlineData(null, null)]
    [InlineData("vda[1]", 1)]
    [InlineData("/vm/base.img", 2)]
    [InlineData("vda", -1)]
    [InlineData("/vm/top.img", -1)]
    public async Task A_pull_finds_its_base(string? @base, int? expected)
    {
        await using var world = new LibvirtWorld();
        DomainDisk disk = (await world.StartChainOfThreeAsync()).FindDisk("vda");
        if (expected == -1)
        {
            Assert.Equal(LibvirtErrorCode.InvalidArg, Assert.Throws<LibvirtException>(() => disk.FindPullBase(@base)).Code);
            return;
        }

        Assert.Equal(expected, disk.FindPullBase(@base)?.Index);
    }

    [Fact]
    public async Task An_empty_drive_has_no_images_to_work_on()
    {
        await using var world = new LibvirtWorld();
        Domain domain = await world.Connection.CreateAsync(LibvirtWorld.DomainXml("vm", "<disk type='file' device='cdrom'><target dev='sda'/></disk>"));
        DomainDisk drive = domain.FindDisk("sda");
        Assert.Equal(LibvirtErrorCode.ConfigUnsupported, Assert.Throws<LibvirtException>(() => drive.FindPullBase(null)).Code);
        Assert.Equal(LibvirtErrorCode.ConfigUnsupported, Assert.Throws<LibvirtException>(() => drive.FindTop(null)).Code);
    }

    private static async Task<Domain> StartTwoDisksAsync(LibvirtWorld world)
    {
        await world.CreateChainAsync(("/vm/mid.img", null), ("/vm/top.img", "mid.img"), ("/vm/other.img", null));
        return await world.Connection.CreateAsync(
            LibvirtWorld.DomainXml("vm", LibvirtWorld.DiskXml("vda", "/vm/top.img"), LibvirtWorld.DiskXml("vdb", "/vm/other.img")));
    }
}
