using Xunit;

namespace BlockLayer.Libvirt.Tests.Disks;

/// <summary>The names along a chain, joined as seen from the overlay's folder.</summary>
public class RelativeNameTests
{
    [Theory]
    [InlineData("base.img", "base.img")]
    [InlineData("mid.img|base.img", "base.img")]
    [InlineData("sub/mid.img|base.img", "sub/base.img")]
    [InlineData("sub/mid.img|../base.img", "sub/../base.img")]
    [InlineData("../a/mid.img|b/low.img|../../c.img", "../a/b/../../c.img")]
    [InlineData("./mid.img|./base.img", "././base.img")]
    [InlineData("a/b:c.img", "a/b:c.img")]
    [InlineData("/vm/mid.img|base.img", null)]
    [InlineData("mid.img|/vm/base.img", null)]
    [InlineData("mid.img|nbd:host", null)]
    [InlineData("mid.img|", null)]
    [InlineData("mid.img|?", null)]
    public void Names_are_joined_or_none_is_derived(string recorded, string? expected)
        => Assert.Equal(expected, RelativeName.Join([.. recorded.Split('|').Select(name => name == "?" ? null : name)]));

    [Fact]
    public void Without_names_there_is_none() => Assert.Null(RelativeName.Join([]));

    [Fact]
    public async Task A_pull_records_the_base_as_seen_from_the_active_image_and_a_commit_as_seen_from_what_is_on_the_top()
    {
        await using var world = new LibvirtWorld();
        await world.CreateChainAsync(("/vm/low/base.img", null), ("/vm/low/mid.img", "base.img"), ("/vm/high.img", "low/mid.img"), ("/vm/top.img", "/vm/high.img"));
        Domain domain = await world.Connection.CreateAsync(LibvirtWorld.DomainXml("vm", LibvirtWorld.DiskXml("vda", "/vm/top.img")));
        DomainDisk disk = domain.FindDisk("vda");
        Assert.Equal("low/base.img", disk.GetRelativeName(overlay: disk.Chain[1], @base: disk.Chain[3]));
        var error = Assert.Throws<LibvirtException>(() => disk.GetRelativeName(overlay: disk.Chain[0], @base: disk.Chain[3]));
        Assert.Equal(LibvirtErrorCode.OperationInvalid, error.Code);
        Assert.Equal("'/vm/top.img' cannot record a relative name of '/vm/low/base.img': not every image between them records a relative one.", error.Message);
    }
}
