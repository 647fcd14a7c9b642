using BlockLayer.Images;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using Xunit;
using static BlockLayer.Libvirt.Tests.Snapshots.SnapshotSamples;

namespace BlockLayer.Libvirt.Tests;

/// <summary>What the README shows, on files of this machine.</summary>
public class ReadmeTests
{
    [Fact]
    public async Task The_example_works()
    {
        using var folder = new TemporaryFolder();
        await CreateChainAsync(folder);
        await using var host = new LibvirtHost();
        LibvirtConnection connection = host.Connect();
        Domain domain = await connection.CreateAsync($"""
            <domain type='qemu'>
              <name>vm</name>
              <devices>
                <disk type='file' device='disk'>
                  <driver name='qemu' type='qcow2'/>
                  <source file='{folder.File("top.qcow2")}'/>
                  <target dev='vda' bus='virtio'/>
                </disk>
              </devices>
            </domain>
            """);
        DomainDisk disk = domain.FindDisk("vda");
        await disk.Open!.WriteAsync(0, new byte[512]);
        Assert.Contains($"""<source file="{folder.File("base.qcow2")}" />""", domain.GetXml(), StringComparison.Ordinal);
        Assert.Equal(1, disk.FindPullBase("vda[1]")!.Index);
    }

    [Fact]
    public async Task The_example_of_the_calls_works()
    {
        using var folder = new TemporaryFolder();
        await CreateChainAsync(folder);
        await using var host = new LibvirtHost();
        LibvirtConnection connection = host.Connect();
        Domain domain = await connection.CreateAsync(LibvirtWorld.DomainXml("vm", LibvirtWorld.DiskXml("vda", folder.File("top.qcow2"))));
        var api = new BlockJobApi(connection);
        DiskJob job = await api.CommitAsync(domain, "vda", flags: BlockCommitFlags.Active | BlockCommitFlags.Delete);
        if (await job.WaitForReadyAsync())
        {
            await api.AbortAsync(domain, "vda", BlockJobAbortFlags.Pivot);
        }

        BlockJobEvent end = await job.Completion;
        Assert.Equal((BlockJobStatus.Completed, folder.File("base.qcow2")), (end.Status, end.Path));
        Assert.Equal([folder.File("base.qcow2")], Directory.GetFiles(folder.Path));
    }

    [Fact]
    public async Task An_image_is_found_by_a_link_that_leads_to_it()
    {
        using var folder = new TemporaryFolder();
        await CreateChainAsync(folder);
        File.CreateSymbolicLink(folder.File("golden"), folder.File("base.qcow2"));
        await using var host = new LibvirtHost();
        Domain domain = await host.Connect().CreateAsync(LibvirtWorld.DomainXml("vm", LibvirtWorld.DiskXml("vda", folder.File("top.qcow2"))));
        Assert.Equal(1, domain.FindDisk("vda").FindPullBase(folder.File("golden"))!.Index);
    }

    [Fact]
    public async Task Snapshots_are_found_again_in_a_folder()
    {
        using var folder = new TemporaryFolder();
        SnapshotStore store = await SnapshotStore.OpenAsync(folder.Path, "vm", LocalStorageProvider.Instance);
        await store.AddAsync(Record("s1", null, "a", "b"));
        await store.AddAsync(Record("s2", "s1", "b", "c"));
        SnapshotStore again = await SnapshotStore.OpenAsync(folder.Path, "vm", LocalStorageProvider.Instance);
        Assert.Equal(["s1", "s2"], again.Tree.All.Select(record => record.Name));
        Assert.Equal([folder.File("vm.snapshots.xml")], Directory.GetFiles(folder.Path)); // nothing is left beside it
    }

    private static async Task CreateChainAsync(TemporaryFolder folder)
    {
        var image = new NewImage { Format = "qcow2", Length = LibvirtWorld.DiskLength };
        await using (await Disk.CreateAsync(folder.File("base.qcow2"), image))
        {
        }

        await using (await Disk.CreateAsync(folder.File("top.qcow2"), image with { Backing = new("base.qcow2", "qcow2") }))
        {
        }
    }
}
