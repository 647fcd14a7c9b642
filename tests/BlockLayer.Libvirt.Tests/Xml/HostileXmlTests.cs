using System.Text;
using Xunit;

namespace BlockLayer.Libvirt.Tests.Xml;

/// <summary>Descriptions come from outside: what is wrong with them is said by element and line, in bounded time and memory.</summary>
public class HostileXmlTests
{
    [Theory]
    [InlineData("", "The XML cannot be read: Root element is missing.")]
    [InlineData("<domain>", "The XML cannot be read: Unexpected end of file has occurred. The following elements are not closed: domain. Line 1, position 9.")]
    [InlineData("<!DOCTYPE domain []><domain/>", "DTD is prohibited")]
    [InlineData("<!DOCTYPE d [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]><domain><name>&b;</name></domain>", "DTD is prohibited")]
    [InlineData("<!DOCTYPE d SYSTEM 'file:///etc/passwd'><domain/>", "DTD is prohibited")]
    [InlineData("<domain><name>&x;</name></domain>", "Reference to undeclared entity 'x'")]
    public void Text_that_is_no_plain_XML_is_refused(string xml, string message)
    {
        var error = Assert.Throws<LibvirtException>(() => DomainDefinition.Parse(xml));
        Assert.Equal((LibvirtErrorCode.XmlDetail, LibvirtErrorDomain.Xml), (error.Code, error.Error.Domain));
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Too_much_text_is_refused()
    {
        string xml = $"<domain><name>vm</name><description>{new string('x', XmlLimits.MaxCharacters)}</description></domain>";
        var error = Assert.Throws<LibvirtException>(() => DomainDefinition.Parse(xml));
        Assert.Equal(LibvirtErrorCode.XmlDetail, error.Code);
    }

    [Fact]
    public void Nesting_is_refused_before_anything_recurses()
    {
        const int Depth = 100_000;
        var text = new StringBuilder("<domain><name>vm</name>").Append('\n');
        text.Insert(text.Length, "<a>", Depth).Insert(text.Length, "</a>", Depth).Append("</domain>");
        var error = Assert.Throws<LibvirtException>(() => DomainDefinition.Parse(text.ToString()));
        Assert.Equal("The XML cannot be read: line 2 lies inside more than 300 elements.", error.Message);
    }

    [Theory]
    [InlineData("<network/>", "<network> at line 1: expected is <domain>.")]
    [InlineData("<domain>\n</domain>", "<domain> at line 1: <name> is missing.")]
    [InlineData("<domain><name/>\n</domain>", "<name> at line 1: the name is ''; expected is one that is not empty and has no slash and no line break.")]
    [InlineData("<domain><name>a/b</name></domain>", "<name> at line 1: the name is 'a/b'; expected is one that is not empty and has no slash and no line break.")]
    [InlineData("<domain><name>a</name>\n<name>b</name></domain>", "<name> at line 2: <domain> has more than one.")]
    public void A_wrong_domain_is_told_by_element_and_line(string xml, string message)
    {
        var error = Assert.Throws<LibvirtException>(() => DomainDefinition.Parse(xml));
        Assert.Equal((LibvirtErrorCode.XmlError, message), (error.Code, error.Message));
    }

    [Theory]
    [InlineData("<disk><source file='/a'/></disk>", LibvirtErrorCode.XmlError, "<disk> at line 2: <target> is missing.")]
    [InlineData("<disk><source file='/a'/><target/></disk>", LibvirtErrorCode.XmlError, "<target> at line 2: the attribute dev is missing.")]
    [InlineData("<disk><source file='/a'/><target dev='a[1]'/></disk>", LibvirtErrorCode.XmlError, "<target> at line 2: dev is 'a[1]'; a target has no slash and no bracket.")]
    [InlineData("<disk><target dev='vda'/></disk>", LibvirtErrorCode.XmlError, "<disk> at line 2: <source> is missing; only drives for removable media may be empty.")]
    [InlineData("<disk><source file='a'/><target dev='vda'/></disk>", LibvirtErrorCode.XmlError, "<source> at line 2: file is 'a'; expected is an absolute path.")]
    [InlineData("<disk device='tape'><source file='/a'/><target dev='vda'/></disk>", LibvirtErrorCode.XmlError, "<disk> at line 2: device is 'tape'; allowed are disk, cdrom, floppy.")]
    [InlineData("<disk device='lun'><source file='/a'/><target dev='vda'/></disk>", LibvirtErrorCode.ConfigUnsupported, "<disk> at line 2: device is 'lun', which passes SCSI commands through to a device.")]
    [InlineData("<disk type='network'><source/><target dev='vda'/></disk>", LibvirtErrorCode.ConfigUnsupported, "<disk> at line 2: type is 'network'; disks here are of type file or block.")]
    [InlineData("<disk><driver name='tap'/><source file='/a'/><target dev='vda'/></disk>", LibvirtErrorCode.ConfigUnsupported, "<driver> at line 2: name is 'tap'; the formats here are those of qemu.")]
    [InlineData("<disk><driver copy_on_read='yes'/><source file='/a'/><target dev='vda'/></disk>", LibvirtErrorCode.XmlError, "<driver> at line 2: copy_on_read is 'yes'; allowed are on, off.")]
    [InlineData("<disk><source file='/a' startupPolicy='x'/><target dev='vda'/></disk>", LibvirtErrorCode.XmlError, "<source> at line 2: startupPolicy is 'x'; allowed are mandatory, requisite, optional.")]
    [InlineData("<disk><source file='/a' startupPolicy='requisite'/><target dev='vda'/></disk>", LibvirtErrorCode.XmlError, "<source> at line 2: startupPolicy is 'requisite', which is for drives alone.")]
    [InlineData("<disk><source file='/a'/><target dev='vda'/><transient/></disk>", LibvirtErrorCode.ConfigUnsupported, "<transient> at line 2: what a guest writes is kept here; start the domain with an overlay that is thrown away afterwards.")]
    [InlineData("<disk><source file='/a'><slices><slice type='storage' offset='512' size='512'/></slices></source><target dev='vda'/></disk>", LibvirtErrorCode.ConfigUnsupported, "<slices> at line 2: a disk here is a whole file or device, not a part of one.")]
    [InlineData("<disk><driver type='raw'/><source file='/a'><encryption format='luks'/></source><target dev='vda'/></disk>", LibvirtErrorCode.ConfigUnsupported, "<encryption> at line 2: raw images are not decrypted here; encrypted images are of the format qcow2.")]
    [InlineData("<disk snapshot='yes'><source file='/a'/><target dev='vda'/></disk>", LibvirtErrorCode.XmlError, "<disk> at line 2: snapshot is 'yes'; allowed are no, manual, external, internal.")]
    [InlineData("<disk><source file='/a'/><source file='/b'/><target dev='vda'/></disk>", LibvirtErrorCode.XmlError, "<source> at line 2: <disk> has more than one.")]
    [InlineData("<disk><source file='/a'/><target dev='vda'/><backingStore><backingStore/></backingStore></disk>", LibvirtErrorCode.XmlError, "<backingStore> at line 2: what lies above it has no source.")]
    public void A_wrong_disk_is_told_by_element_and_line(string disk, LibvirtErrorCode code, string message)
    {
        var error = Assert.Throws<LibvirtException>(() => DomainDefinition.Parse($"<domain><name>vm</name><devices>\n{disk}</devices></domain>"));
        Assert.Equal((code, message), (error.Code, error.Message));
    }

    [Fact]
    public void Two_disks_with_one_target_are_refused()
    {
        string xml = $"<domain><name>vm</name><devices>{LibvirtWorld.DiskXml("vda", "/a")}\n{LibvirtWorld.DiskXml("vda", "/b")}</devices></domain>";
        var error = Assert.Throws<LibvirtException>(() => DomainDefinition.Parse(xml));
        Assert.Equal("<disk> at line 2: the target 'vda' is taken by another disk.", error.Message);
    }

    // Whatever is cut out of a good description or put into it: it is read, or refused with a code of its own.
    [Fact]
    public void A_damaged_description_is_read_or_refused()
    {
        string good = LibvirtWorld.DomainXml("vm", LibvirtWorld.DiskXml("vda", "/a", more: "<readonly/><backingStore type='file'><source file='/b'/></backingStore>"));
        var random = new Random(5);
        int refused = 0;
        for (int i = 0; i < 5000; i++)
        {
            var text = new StringBuilder(good);
            for (int edit = random.Next(1, 4); edit > 0; edit--)
            {
                int at = random.Next(text.Length);
                int length = random.Next(Math.Min(12, text.Length - at));
                text.Remove(at, length).Insert(at, ["", "<", ">", "'", "/", "&", "\0", "x", "<disk/>"], random);
            }

            refused += Record.Exception(() => DomainDefinition.Parse(text.ToString())) switch
            {
                null => 0,
                LibvirtException { Code: LibvirtErrorCode.XmlDetail or LibvirtErrorCode.XmlError or LibvirtErrorCode.ConfigUnsupported } => 1,
                { } other => throw new InvalidOperationException($"seed 5, step {i}: {text}", other),
            };
        }

        Assert.InRange(refused, 2000, 4990);
    }
}

internal static class StringBuilderExtensions
{
    internal static StringBuilder Insert(this StringBuilder text, int at, string[] choices, Random random) => text.Insert(at, choices[random.Next(choices.Length)]);
}
