using Xunit;

namespace BlockLayer.Libvirt.Tests.Snapshots;

/// <summary>Descriptions of snapshots as callers give them.</summary>
public class SnapshotDefinitionTests
{
    [Fact]
    public void A_description_is_read()
    {
        const string Xml = """
            <domainsnapshot>
              <name>before-upgrade</name>
              <description>as installed</description>
              <memory snapshot='no'/>
              <disks>
                <disk name='vda' snapshot='external'><driver type='qcow2'/><source file='/vm/new.img'/><on_delete merge='forward'/></disk>
                <disk name='/vm/data.img' snapshot='no'/>
                <disk name='vdc'><source file='/vm/c.img'/></disk>
                <disk name='vdd'><on_delete merge='backward'/></disk>
              </disks>
            </domainsnapshot>
            """;
        SnapshotDefinition read = SnapshotDefinition.Parse(Xml);
        Assert.Equal(("before-upgrade", "as installed"), (read.Name, read.Description));
        var expected = new SnapshotDiskDefinition[]
        {
            new() { Name = "vda", Location = SnapshotLocation.External, Format = "qcow2", Source = new(false, "/vm/new.img"), OnDelete = MergeDirection.Forward },
            new() { Name = "/vm/data.img", Location = SnapshotLocation.None },
            new() { Name = "vdc", Location = SnapshotLocation.External, Source = new(false, "/vm/c.img") }, // who names a file wants it
            new() { Name = "vdd", OnDelete = MergeDirection.Backward },
        };
        Assert.Equal(expected, read.Disks);
    }

    [Fact]
    public void The_shortest_description_leaves_everything_open()
    {
        SnapshotDefinition read = SnapshotDefinition.Parse("<domainsnapshot/>");
        Assert.Null(read.Name);
        Assert.Empty(read.Disks);
    }

    [Theory]
    [InlineData("<name>a/b</name>", LibvirtErrorCode.XmlDetail, "A snapshot cannot be called 'a/b': allowed are names without slash and line break that do not begin with a dot.")]
    [InlineData("<name>.x</name>", LibvirtErrorCode.XmlDetail, "A snapshot cannot be called '.x': allowed are names without slash and line break that do not begin with a dot.")]
    [InlineData("<name>a&#13;b</name>", LibvirtErrorCode.XmlDetail, "A snapshot cannot be called 'a\rb': allowed are names without slash and line break that do not begin with a dot.")]
    [InlineData("<disks><disk name='a'><source file='/x'><encryption format='luks'/></source></disk></disks>", LibvirtErrorCode.ConfigUnsupported, "<encryption> at line 1: no image is encrypted here; make an encrypted one first, and use it (REUSE_EXT) without this element.")]
    [InlineData("<memory snapshot='external' file='/m'/>", LibvirtErrorCode.ConfigUnsupported, "<memory> at line 1: there is no guest memory here; snapshot can only be 'no'.")]
    [InlineData("<disks><disk name='vda' snapshot='internal'/></disks>", LibvirtErrorCode.ConfigUnsupported, "<disk> at line 1: snapshot is 'internal'; snapshots of domains here are external.")]
    [InlineData("<disks><disk name='vda' snapshot='maybe'/></disks>", LibvirtErrorCode.XmlError, "<disk> at line 1: snapshot is 'maybe'; allowed are no, external.")]
    [InlineData("<disks><disk/></disks>", LibvirtErrorCode.XmlError, "<disk> at line 1: the attribute name is missing.")]
    [InlineData("<disks><disk name='a' snapshot='no'><source file='/x'/></disk></disks>", LibvirtErrorCode.XmlError, "<disk> at line 1: a disk that takes no part needs no <source>.")]
    [InlineData("<disks><disk name='a'><on_delete merge='up'/></disk></disks>", LibvirtErrorCode.XmlError, "<on_delete> at line 1: merge is 'up'; allowed are backward, forward.")]
    public void A_wrong_description_is_told_by_element_and_line(string inner, LibvirtErrorCode code, string message)
    {
        var error = Assert.Throws<LibvirtException>(() => SnapshotDefinition.Parse($"<domainsnapshot>{inner}</domainsnapshot>"));
        Assert.Equal((code, message), (error.Code, error.Message));
    }
}
