using Xunit;

namespace BlockLayer.Libvirt.Tests.Snapshots;

/// <summary>Which disks take part in a snapshot, and with which files.</summary>
public class SnapshotPlanTests
{
    [Theory]
    [InlineData("/vm/disk.qcow2", "/vm/disk.s1")]
    [InlineData("/vm/disk", "/vm/disk.s1")]
    [InlineData("/vm.d/disk", "/vm.d/disk.s1")]
    [InlineData("/vm/a.b.img", "/vm/a.b.s1")]
    [InlineData("/vm/.hidden", "/vm/.hidden.s1")]
    public void A_new_file_is_called_by_the_snapshot(string path, string expected) => Assert.Equal(expected, SnapshotPlan.NameFor(path, "s1"));

    [Fact]
    public async Task All_writable_disks_take_part_unless_the_description_says_otherwise()
    {
        await using var world = new LibvirtWorld();
        Domain domain = await StartFourDisksAsync(world);
        SnapshotRecord plan = Plan(domain, "<name>s1</name><disks><disk name='/vm/b.img'><source file='/other/b'/><driver type='qed'/><on_delete merge='forward'/></disk></disks>");
        var expected = new SnapshotDiskRecord[]
        {
            new() { Target = "vda", Frozen = new(false, "/vm/a.img"), FrozenFormat = "qcow2", Overlay = new(false, "/vm/a.s1"), OverlayFormat = "qcow2" },
            new()
            {
                Target = "vdb",
                Frozen = new(false, "/vm/b.img"),
                FrozenFormat = "qcow2",
                Overlay = new(false, "/other/b"),
                OverlayFormat = "qed",
                OnDelete = MergeDirection.Forward,
            },
        };
        Assert.Equal(expected, plan.Disks);
        Assert.Equal(("s1", "parent", DomainState.Running), (plan.Name, plan.Parent, plan.State));
    }

    [Fact]
    public async Task A_snapshot_without_a_name_is_called_by_its_second()
    {
        await using var world = new LibvirtWorld();
        SnapshotRecord plan = Plan(await StartFourDisksAsync(world), "");
        Assert.Equal($"{plan.CreationTime.ToUnixTimeSeconds()}", plan.Name);
    }

    [Theory]
    [InlineData("<disks><disk name='vdx'/></disks>", "The domain 'vm' has no disk 'vdx'; it has vda, vdb, vdc, sda.")]
    [InlineData("<disks><disk name='vda'/><disk name='/vm/a.img'/></disks>", "The disk 'vda' is described twice.")]
    [InlineData("<disks><disk name='vdc' snapshot='external'/></disks>", "The disk 'vdc' is read-only and cannot take part.")]
    [InlineData("<disks><disk name='sda' snapshot='external'/></disks>", "The disk 'sda' is empty and cannot take part.")]
    [InlineData("<disks><disk name='vda' snapshot='no'/><disk name='vdb' snapshot='no'/></disks>", "No disk takes part in the snapshot.")]
    [InlineData("<disks><disk name='vda'><driver type='raw'/></disk></disks>", "The new file of 'vda' cannot be raw: a raw file records no backing file.")]
    [InlineData("<disks><disk name='vda'><source file='/vm/x'/></disk><disk name='vdb'><source file='/vm/x'/></disk></disks>", "'/vm/x' would be the new file of both 'vda' and 'vdb'.")]
    [InlineData("<disks><disk name='vda'><source file='/vm/b.img'/></disk></disks>", "'/vm/b.img', the new file of 'vda', exists already: remove it, or name another; an overlay of the disk that was made before is used with REUSE_EXT.")]
    public async Task What_cannot_be_done_is_refused_before_anything_is(string inner, string message)
    {
        await using var world = new LibvirtWorld();
        Domain domain = await StartFourDisksAsync(world);
        var error = Assert.Throws<LibvirtException>(() => Plan(domain, "<name>s1</name>" + inner));
        Assert.Equal((LibvirtErrorCode.ConfigUnsupported, message), (error.Code, error.Message));
    }

    [Theory]
    [InlineData("no", "", "vdb")]
    [InlineData("manual", "", "vdb")]
    [InlineData("external", "", "vda vdb")]
    [InlineData("no", "<disks><disk name='vda'/></disks>", "vdb")]
    [InlineData("no", "<disks><disk name='vda' snapshot='external'/></disks>", "vda vdb")]
    public async Task What_the_domain_says_of_a_disk_counts_where_the_snapshot_says_nothing(string domains, string snapshots, string expected)
    {
        await using var world = new LibvirtWorld();
        await world.CreateChainAsync(("/vm/a.img", null), ("/vm/b.img", null));
        string vda = LibvirtWorld.DiskXml("vda", "/vm/a.img").Replace("<disk ", $"<disk snapshot='{domains}' ", StringComparison.Ordinal);
        Domain domain = await world.Connection.CreateAsync(LibvirtWorld.DomainXml("vm", vda, LibvirtWorld.DiskXml("vdb", "/vm/b.img")));
        Assert.Equal(expected, string.Join(' ', Plan(domain, snapshots).Disks.Select(static disk => disk.Target)));
    }

    [Fact]
    public async Task Files_that_are_said_to_exist_have_to()
    {
        await using var world = new LibvirtWorld();
        Domain domain = await StartFourDisksAsync(world);
        await world.CreateChainAsync(("/vm/a.s1", null));
        var error = Assert.Throws<LibvirtException>(() => Plan(domain, "<name>s1</name>", SnapshotCreateFlags.ReuseExternal));
        Assert.Equal("There is nothing at '/vm/b.s1' for 'vdb' to use (REUSE_EXT).", error.Message);
        await world.CreateChainAsync(("/vm/b.s1", null));
        Assert.Equal(2, Plan(domain, "<name>s1</name>", SnapshotCreateFlags.ReuseExternal).Disks.Count);
    }

    private static SnapshotRecord Plan(Domain domain, string inner, SnapshotCreateFlags flags = SnapshotCreateFlags.None)
        => SnapshotPlan.Make(SnapshotDefinition.Parse($"<domainsnapshot>{inner}</domainsnapshot>"), flags, domain, domain.Disks, current: "parent");

    private static async Task<Domain> StartFourDisksAsync(LibvirtWorld world)
    {
        await world.CreateChainAsync(("/vm/a.img", null), ("/vm/b.img", null), ("/vm/c.img", null));
        return await world.Connection.CreateAsync(LibvirtWorld.DomainXml(
            "vm",
            LibvirtWorld.DiskXml("vda", "/vm/a.img"),
            LibvirtWorld.DiskXml("vdb", "/vm/b.img"),
            LibvirtWorld.DiskXml("vdc", "/vm/c.img", more: "<readonly/>"),
            "<disk device='cdrom'><target dev='sda'/></disk>"));
    }
}
