using BlockLayer.Images;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using Xunit;
using static BlockLayer.Libvirt.Tests.Snapshots.SnapshotSamples;

namespace BlockLayer.Libvirt.Tests;

/// <summary>The examples of README.md, word for word, and what it promises about files of this machine.</summary>
public class ReadmeTests
{
    [Fact]
    public async Task The_example_works()
    {
        await using LibvirtWorld world = await StartWorldAsync();
        LibvirtHostOptions options = world.Host.Options;
        byte[] buffer = new byte[512];

        // README begins
        await using var host = new LibvirtHost(options); // which files an image may lead to: options.Disks.Policy
        LibvirtConnection connection = host.Connect();
        Domain domain = await connection.CreateAsync("""
            <domain type='qemu'>
              <name>vm</name>
              <devices>
                <disk type='file' device='disk'>
                  <driver name='qemu' type='qcow2'/>
                  <source file='/images/top.qcow2'/>
                  <target dev='vda' bus='virtio'/>
                </disk>
              </devices>
            </domain>
            """);
        DomainDisk disk = domain.FindDisk("vda");        // or by its path
        await disk.Open!.WriteAsync(0, buffer);          // what the guest would do
        string xml = domain.GetXml();                    // <backingStore index='1'> ... for "vda[1]"
        // README ends

        Assert.Contains("""<source file="/images/base.qcow2" />""", xml, StringComparison.Ordinal);
        Assert.Equal(1, disk.FindPullBase("vda[1]")!.Index);
    }

    [Fact]
    public async Task The_example_of_the_snapshots_works()
    {
        await using LibvirtWorld world = await StartWorldAsync();
        await using var host = new LibvirtHost(world.Host.Options with { SnapshotFolder = "/meta" });
        LibvirtConnection connection = host.Connect();
        Domain domain = await StartDomainAsync(connection);

        // README begins
        var snapshots = new SnapshotApi(connection);   // the host was made with a SnapshotFolder
        await snapshots.CreateAsync(domain, """
            <domainsnapshot>
              <name>before-update</name>
              <disks>
                <disk name='vda' snapshot='external'><source file='/images/top.overlay'/><on_delete merge='forward'/></disk>
              </disks>
            </domainsnapshot>
            """);
        await snapshots.DeleteAsync(domain, "before-update");
        // README ends

        Assert.Equal(["/images/top.overlay", "/images/base.qcow2"], domain.FindDisk("vda").Chain.Select(image => image.Source.Path));
        Assert.Null(world.Files.GetInfo("/images/top.qcow2"));
    }

    [Fact]
    public async Task The_example_of_the_calls_works()
    {
        await using LibvirtWorld world = await StartWorldAsync();
        LibvirtConnection connection = world.Connection;
        Domain domain = await StartDomainAsync(connection);

        // README begins
        var api = new BlockJobApi(connection);                              // or: var calls = new BlockJobCalls(connection);
        DiskJob job = await api.CommitAsync(domain, "vda", flags: BlockCommitFlags.Active | BlockCommitFlags.Delete);
        if (await job.WaitForReadyAsync())
        {
            await api.AbortAsync(domain, "vda", BlockJobAbortFlags.Pivot);
        }

        BlockJobEvent end = await job.Completion;                           // the event that both kinds of callbacks were told
        // README ends

        Assert.Equal((BlockJobStatus.Completed, "/images/base.qcow2"), (end.Status, end.Path));
        Assert.Null(world.Files.GetInfo("/images/top.qcow2"));
    }

    [Fact]
    public async Task The_example_of_the_streams_works()
    {
        await using LibvirtWorld world = await StartWorldAsync();
        LibvirtConnection connection = world.Connection;
        Domain domain = await StartDomainAsync(connection);
        TimeSpan pause = TimeSpan.Zero;

        // README begins
        var stream = new BlockStreamApi(connection);
        var cursor = new BlockStreamCursor();                               // or one with a value that was kept
        while (!(await stream.StreamAsync(domain, "/images/top.qcow2", cursor)).IsComplete)
        {
            await Task.Delay(pause);                                        // as fast as the caller likes
        }
        // README ends

        Assert.Equal((ulong)LibvirtWorld.DiskLength, cursor.Value);
        Assert.Single(domain.FindDisk("vda").Chain);
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

    private static async Task<LibvirtWorld> StartWorldAsync()
    {
        var world = new LibvirtWorld();
        await world.CreateChainAsync(("/images/base.qcow2", null), ("/images/top.qcow2", "base.qcow2"));
        await using Disk disk = await Disk.OpenAsync("/images/base.qcow2", new DiskOptions { Environment = world.Environment });
        await disk.WriteAsync(0, Pattern.Of(0, (int)LibvirtWorld.DiskLength, writer: 1));
        return world;
    }

    private static ValueTask<Domain> StartDomainAsync(LibvirtConnection connection)
        => connection.CreateAsync(LibvirtWorld.DomainXml("vm", LibvirtWorld.DiskXml("vda", "/images/top.qcow2")));

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
