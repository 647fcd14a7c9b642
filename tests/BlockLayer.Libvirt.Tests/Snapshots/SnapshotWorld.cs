using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Simulation;
using Xunit;

namespace BlockLayer.Libvirt.Tests.Snapshots;

/// <summary>A domain "vm" of two disks, vda at /vm/a.qcow2 and vdb at /vm/b.qcow2, on a host that remembers snapshots, and what every snapshot has to show.</summary>
internal sealed class SnapshotWorld : IAsyncDisposable
{
    internal const int DiskLength = 256 * 1024;

    private const int Unit = 16 * 1024;

    private readonly Dictionary<(string Snapshot, string Target), byte[]> _shown = [];
    private long _writer;

    private SnapshotWorld(BlockEnvironment environment, string xml)
    {
        Environment = environment;
        Host = new LibvirtHost(new LibvirtHostOptions { Disks = new DiskOptions { Environment = environment }, SnapshotFolder = "/meta", ImageFolders = ["/vm"] });
        Connection = Host.Connect();
        Api = new SnapshotApi(Connection);
        Domain = Connection.Define(xml);
    }

    internal static string[] Targets { get; } = ["vda", "vdb"];

    internal BlockEnvironment Environment { get; }

    internal LibvirtHost Host { get; }

    internal LibvirtConnection Connection { get; }

    internal SnapshotApi Api { get; }

    internal Domain Domain { get; }

    public ValueTask DisposeAsync() => Host.DisposeAsync();

    /// <summary>The domain as it was first defined, whatever became of its disks.</summary>
    internal static string Xml(string vda = "/vm/a.qcow2", string vdb = "/vm/b.qcow2")
        => LibvirtWorld.DomainXml("vm", LibvirtWorld.DiskXml("vda", vda), LibvirtWorld.DiskXml("vdb", vdb));

    /// <summary>Two disks with something in them, and the domain, which runs.</summary>
    internal static async Task<SnapshotWorld> StartAsync(BlockEnvironment environment)
    {
        foreach (string path in new[] { "/vm/a.qcow2", "/vm/b.qcow2" })
        {
            await using Disk disk = await Disk.CreateAsync(path, new NewImage { Format = "qcow2", Length = DiskLength }, new DiskOptions { Environment = environment });
        }

        SnapshotWorld world = await RestartAsync(environment);
        await world.WriteAsync(0, DiskLength / 2);
        return world;
    }

    /// <summary>The same machine after a reboot: the domain is defined as it was at first, and starts.</summary>
    internal static async Task<SnapshotWorld> RestartAsync(BlockEnvironment environment)
    {
        SnapshotWorld world = Define(environment);
        await world.Connection.StartAsync(world.Domain);
        return world;
    }

    /// <summary>A domain that was not started.</summary>
    internal static SnapshotWorld Define(BlockEnvironment environment, string? xml = null) => new(environment, xml ?? Xml());

    /// <summary>Storage that answers at once.</summary>
    internal static Task<SnapshotWorld> StartAsync() => StartAsync(SimulatedEnvironment.Inline(new SimulatedStorageProvider()));

    /// <summary>The same with three snapshots, the last of which is current.</summary>
    internal static async Task<SnapshotWorld> WithThreeAsync(MergeDirection vda, MergeDirection vdb, BlockEnvironment? environment = null)
    {
        SnapshotWorld world = await StartAsync(environment ?? SimulatedEnvironment.Inline(new SimulatedStorageProvider()));
        foreach (string name in new[] { "s1", "s2", "s3" })
        {
            await world.SnapshotAsync(name, vda, vdb);
        }

        return world;
    }

    internal Disk Open(string target) => Domain.FindDisk(target).Open!;

    /// <summary>Something new on each disk.</summary>
    internal async Task WriteAsync(long offset, int length)
    {
        foreach (string target in Targets)
        {
            await Open(target).WriteAsync(offset, GuestStamp.Create(offset, length, ++_writer));
        }
    }

    /// <summary>A snapshot, and then something new on each disk.</summary>
    internal async Task SnapshotAsync(string name, MergeDirection vda, MergeDirection vdb)
    {
        await RememberAsync(name);
        await Api.CreateAsync(Domain, SnapshotXml(name, vda, vdb));
        int unit = 1 + _shown.Count;
        await WriteAsync(unit * Unit, Unit + (Unit / 2));
        foreach (string target in Targets)
        {
            await Open(target).WriteZeroesAsync((long)unit * 5 % 16 * Unit, Unit / 2);
        }
    }

    /// <summary>What the disks hold now is what a snapshot has to show that is about to be made.</summary>
    internal async Task RememberAsync(string name)
    {
        foreach (string target in Targets)
        {
            _shown[(name, target)] = await ReadAsync(target);
        }
    }

    /// <summary>What a snapshot has to show.</summary>
    internal byte[] Shown(string name, string target) => _shown[(name, target)];

    /// <summary>A snapshot of both disks; the new file of vdb may have another format.</summary>
    internal static string SnapshotXml(string name, MergeDirection vda, MergeDirection vdb, string format = "qcow2")
        => $"<domainsnapshot><name>{name}</name><disks>{DiskXml("vda", vda, "qcow2")}{DiskXml("vdb", vdb, format)}</disks></domainsnapshot>";

    internal async Task<byte[]> ReadAsync(string target) => await OracleGuest.ReadAllAsync(Open(target).Root);

    internal async Task<SnapshotTree> TreeAsync() => await Api.ListAsync(Domain);

    /// <summary>The files of a disk's chain, newest first.</summary>
    internal string Chain(string target) => string.Join(' ', Domain.FindDisk(target).Chain.Select(static element => element.Path["/vm/".Length..]));

    /// <summary>Snapshots have to show here what they show there.</summary>
    internal void ShowsAs(SnapshotWorld other)
    {
        foreach (((string, string) key, byte[] content) in other._shown)
        {
            _shown[key] = content;
        }
    }

    /// <summary>Every snapshot that is remembered shows the disks as they were, by its frozen files, and no image is damaged. The domain does not run.</summary>
    internal async Task AssertSnapshotsShowWhatTheyDidAsync()
    {
        SnapshotTree tree = await TreeAsync();
        foreach (SnapshotRecord record in tree.All)
        {
            foreach (SnapshotDiskRecord disk in record.Disks)
            {
                Assert.False(disk.IsDeleteInProgress, $"'{record.Name}' is marked");
                if (!disk.IsFrozenChanged && _shown.TryGetValue((record.Name, disk.Target), out byte[]? content))
                {
                    await AssertShowsAsync(disk.Frozen.Path, content);
                }
            }
        }
    }

    internal async Task AssertShowsAsync(string path, byte[] content)
    {
        await using Disk image = await Disk.OpenAsync(path, new DiskOptions { Format = "qcow2", Access = NodeAccess.ReadOnly, Environment = Environment });
        byte[] shown = await OracleGuest.ReadAllAsync(image.Root);
        int equal = shown.AsSpan().CommonPrefixLength(content);
        Assert.True(equal == content.Length && shown.Length == content.Length, $"'{path}' differs at {equal} of {shown.Length}");
        ImageCheckReport report = await ImageChecker.CheckAsync(image.Root);
        Assert.True(report.Corruptions == 0, string.Join(System.Environment.NewLine, report.Findings));
    }

    private static string DiskXml(string target, MergeDirection merge, string format)
        => $"<disk name='{target}' snapshot='external'><driver type='{format}'/><on_delete merge='{(merge == MergeDirection.Forward ? "forward" : "backward")}'/></disk>";
}
