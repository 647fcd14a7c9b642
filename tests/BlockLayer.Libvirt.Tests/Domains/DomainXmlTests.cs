using System.Xml.Linq;
using BlockLayer.Jobs;
using Xunit;

namespace BlockLayer.Libvirt.Tests.Domains;

/// <summary>What a domain says of itself while it runs, after a job, and for its next start.</summary>
public class DomainXmlTests
{
    [Fact]
    public async Task A_running_domain_numbers_the_chains_of_its_disks()
    {
        await using var world = new LibvirtWorld();
        Domain domain = await world.StartChainOfThreeAsync();
        const string Expected = """
            <disk type="file" device="disk">
              <driver name="qemu" type="qcow2" />
              <source file="/vm/top.img" />
              <backingStore type="file" index="1">
                <format type="qcow2" />
                <source file="/vm/mid.img" />
                <backingStore type="file" index="2">
                  <format type="qcow2" />
                  <source file="/vm/base.img" />
                  <backingStore />
                </backingStore>
              </backingStore>
              <target dev="vda" />
            </disk>
            """;
        Assert.Equal(Expected, DiskOf(domain).ToString());
        Assert.Equal("1", XElement.Parse(domain.GetXml()).Attribute("id")?.Value);
    }

    [Theory]
    [InlineData(0, null)]
    [InlineData(1, "yes")]
    [InlineData(2, "pivot")]
    [InlineData(3, "abort")]
    public async Task The_second_file_of_a_copy_is_described_with_its_stage(int stage, string? ready)
    {
        await using var world = new LibvirtWorld();
        Domain domain = await world.StartChainOfThreeAsync();
        var job = new StubJob(BlockJobType.Copy);
        domain.FindDisk("vda").Occupy(job);
        domain.FindDisk("vda").Describe(job, new DiskMirror(BlockJobType.Copy, new DiskSource(IsBlockDevice: false, "/vm/copy.img"), "raw", (MirrorStage)stage));
        XElement mirror = DiskOf(domain).Element("mirror")!;
        Assert.Equal("backingStore", ((XElement)mirror.PreviousNode!).Name);
        Assert.Equal(("copy", ready), (mirror.Attribute("job")?.Value, mirror.Attribute("ready")?.Value));
        Assert.Equal(("raw", "/vm/copy.img"), (mirror.Element("format")?.Attribute("type")?.Value, mirror.Element("source")?.Attribute("file")?.Value));
        Assert.Null(DiskOf(domain, DomainXmlFlags.Inactive).Element("mirror"));
    }

    [Fact]
    public async Task An_active_commit_is_described_by_its_name()
    {
        await using var world = new LibvirtWorld();
        Domain domain = await world.StartChainOfThreeAsync();
        var job = new StubJob(BlockJobType.ActiveCommit);
        DomainDisk disk = domain.FindDisk("vda");
        disk.Occupy(job);
        disk.Describe(job, new DiskMirror(BlockJobType.ActiveCommit, new DiskSource(IsBlockDevice: false, "/vm/base.img"), "qcow2", MirrorStage.Copying));
        Assert.Equal("active-commit", DiskOf(domain).Element("mirror")?.Attribute("job")?.Value);
        disk.Release(job);
        Assert.Null(DiskOf(domain).Element("mirror"));
    }

    [Fact]
    public async Task A_pull_shows_in_the_description_at_once_and_in_the_next_starts()
    {
        await using var world = new LibvirtWorld();
        await world.CreateChainAsync(("/vm/base.img", null), ("/vm/mid.img", "base.img"), ("/vm/top.img", "mid.img"));
        const string Declared = "<backingStore type='file'><source file='/vm/mid.img'/></backingStore>";
        Domain domain = world.Connection.Define(LibvirtWorld.DomainXml("vm", LibvirtWorld.DiskXml("vda", "/vm/top.img", more: Declared)));
        await world.Connection.StartAsync(domain);
        Assert.NotNull(DiskOf(domain, DomainXmlFlags.Inactive).Element("backingStore"));

        StreamJob pull = await domain.FindDisk("vda").Open!.StartPullAsync();
        Assert.Equal(JobOutcome.Completed, (await pull.Completion).Outcome);
        Assert.Equal("<backingStore />", DiskOf(domain).Element("backingStore")?.ToString());
        Assert.Null(DiskOf(domain, DomainXmlFlags.Inactive).Element("backingStore")); // what was declared is no longer true

        await world.Connection.ShutOffAsync(domain);
        Assert.Null(DiskOf(domain).Element("backingStore"));
        await world.Connection.StartAsync(domain);
        Assert.Single(domain.FindDisk("vda").Chain);
    }

    // "virsh dumpxml" of a domain that runs, given to "virsh define".
    [Fact]
    public async Task The_description_of_a_run_defines_a_domain_that_does_not_run()
    {
        await using var world = new LibvirtWorld();
        Domain running = await world.StartChainOfThreeAsync();
        var job = new StubJob(BlockJobType.Copy);
        running.FindDisk("vda").Occupy(job);
        running.FindDisk("vda").Describe(job, new DiskMirror(BlockJobType.Copy, new DiskSource(IsBlockDevice: false, "/vm/copy.img"), "raw", MirrorStage.Ready));
        string live = running.GetXml().Replace("<source file=\"/vm/top.img\"", "<source file=\"/vm/top.img\" index=\"4\"", StringComparison.Ordinal);
        Assert.Contains("<mirror", live, StringComparison.Ordinal);
        running.FindDisk("vda").Release(job);
        await world.Connection.ShutOffAsync(running);

        Domain defined = world.Connection.Define(live);
        string text = defined.GetXml();
        Assert.DoesNotContain("<mirror", text, StringComparison.Ordinal);
        Assert.DoesNotContain("index=", text, StringComparison.Ordinal);
        Assert.Null(XElement.Parse(text).Attribute("id"));
        await world.Connection.StartAsync(defined); // the chain that it declares is still the chain
        Assert.Equal(3, defined.FindDisk("vda").Chain.Count);
    }

    [Fact]
    public async Task What_the_block_layer_does_not_know_is_given_back()
    {
        await using var world = new LibvirtWorld();
        await world.CreateChainAsync(("/vm/a.img", null));
        const string Xml = """
            <domain type="kvm">
              <name>vm</name>
              <memory unit="KiB">1024</memory>
              <devices>
                <disk type="file" device="disk">
                  <driver name="qemu" type="qcow2" cache="none" />
                  <source file="/vm/a.img" startupPolicy="mandatory" />
                  <target dev="vda" bus="virtio" />
                  <serial>17</serial>
                </disk>
                <interface type="user" />
              </devices>
            </domain>
            """;
        Domain domain = world.Connection.Define(Xml);
        Assert.Equal(Xml, domain.GetXml());
        await world.Connection.StartAsync(domain);
        Assert.Equal(Xml, domain.GetXml(DomainXmlFlags.Inactive));
        XElement live = XElement.Parse(domain.GetXml());
        Assert.Equal("1024", live.Element("memory")?.Value);
        Assert.Equal(["driver", "source", "backingStore", "target", "serial"], DiskOf(domain).Elements().Select(element => element.Name.LocalName));
        Assert.Equal("none", DiskOf(domain).Element("driver")?.Attribute("cache")?.Value);
        Assert.Equal("mandatory", DiskOf(domain).Element("source")?.Attribute("startupPolicy")?.Value);
    }

    [Fact]
    public async Task A_format_that_was_not_said_is_told_once_it_is_known()
    {
        await using var world = new LibvirtWorld();
        await world.CreateChainAsync(("/vm/a.img", null));
        Domain domain = await world.Connection.CreateAsync(LibvirtWorld.DomainXml("vm", "<disk><source file='/vm/a.img'/><target dev='vda'/></disk>"));
        Assert.Equal("""<driver name="qemu" type="qcow2" />""", DiskOf(domain).Elements().First().ToString());
    }

    [Fact]
    public async Task Unknown_flags_are_refused()
    {
        await using var world = new LibvirtWorld();
        Domain domain = world.Connection.Define(LibvirtWorld.DomainXml("vm"));
        Assert.Equal("GetXml has no flag 0x1.", Assert.Throws<LibvirtException>(() => domain.GetXml((DomainXmlFlags)3)).Message);
    }

    private static XElement DiskOf(Domain domain, DomainXmlFlags flags = DomainXmlFlags.None)
        => XElement.Parse(domain.GetXml(flags)).Element("devices")!.Element("disk")!;
}
