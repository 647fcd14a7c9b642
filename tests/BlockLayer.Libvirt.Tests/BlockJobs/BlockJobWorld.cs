using System.Xml.Linq;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Simulation;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Libvirt.Tests.BlockJobs;

/// <summary>
/// A domain "vm" on a simulated machine, in virtual time, whose disk vda is base.img &lt;- mid.img &lt;- top.img in /vm, which record each other by relative names. Of its units of 64 KiB, writer 1 wrote
/// 0 to 15 in the base, writer 2 8 to 23 in the middle, writer 3 12 to 27 in the top; the rest is zero. All events are heard.
/// </summary>
internal sealed class BlockJobWorld
{
    internal const int Unit = 64 * 1024;
    internal const int Units = 32;

    private readonly int[] _content = [.. Enumerable.Range(0, Units).Select(unit => unit switch { < 8 => 1, < 12 => 2, < 28 => 3, _ => 0 })];

    private BlockJobWorld(ulong seed, Func<SimulatedMachine, StorageProvider>? files, string? folder)
    {
        Machine = new SimulatedMachine(seed);
        BlockEnvironment environment = files is null ? Machine.Environment : Machine.Environment with { Files = files(Machine) };
        Host = new LibvirtHost(new LibvirtHostOptions { Disks = new DiskOptions { Environment = environment }, ImageFolders = folder is null ? [] : [folder] });
        Connection = Host.Connect();
        Api = new BlockJobApi(Connection);
        Calls = new BlockJobCalls(Connection);
        BlockJobCallback hear(int kind) => (_, disk, type, status) => Heard.Add($"{kind} {disk} {type} {status}");
        Connection.RegisterDomainEvent(null, DomainEventId.BlockJob, hear(8));
        Connection.RegisterDomainEvent(null, DomainEventId.BlockJob2, hear(16));
        BlockJobCallback look = (_, _, _, status) => Seen.Add($"{status}: {Describe()}");
        Connection.RegisterDomainEvent(null, DomainEventId.BlockJob2, look);
    }

    internal SimulatedMachine Machine { get; }

    internal LibvirtHost Host { get; }

    internal LibvirtConnection Connection { get; }

    internal BlockJobApi Api { get; }

    internal BlockJobCalls Calls { get; }

    internal Domain Domain { get; private set; } = null!;

    internal DomainDisk Disk => Domain.FindDisk("vda");

    /// <summary>The events, as each kind tells them.</summary>
    internal List<string> Heard { get; } = [];

    /// <summary>What the description said when each event was told.</summary>
    internal List<string> Seen { get; } = [];

    /// <summary>Runs a test.</summary>
    /// <param name="test">It begins with the domain running.</param>
    /// <param name="lifetime">Of the domain.</param>
    /// <param name="seed">Of the machine.</param>
    /// <param name="files">What the host sees of the machine's storage; null for the storage itself.</param>
    /// <param name="before">What is to be there before the domain starts.</param>
    /// <param name="folder">Where the host looks for other images.</param>
    internal static void Run(
        Func<BlockJobWorld, Task> test,
        DomainLifetime lifetime = DomainLifetime.Transient,
        ulong seed = 1,
        Func<SimulatedMachine, StorageProvider>? files = null,
        Func<SimulatedMachine, Task>? before = null,
        string? folder = null)
    {
        var world = new BlockJobWorld(seed, files, folder);
        world.Machine.Run(async () =>
        {
            await (before?.Invoke(world.Machine) ?? Task.CompletedTask);
            await world.StartAsync(lifetime);
            await test(world);
            await world.Host.DisposeAsync();
        });
    }

    /// <summary>The chain and the mirror, as the description has them: <c>top.img mid.img base.img</c>, <c>top.img | copy.img ready=yes</c>.</summary>
    internal string Describe()
    {
        XElement disk = XElement.Parse(Domain.GetXml()).Element("devices")!.Element("disk")!;
        var names = new List<string>();
        for (XElement? at = disk; at?.Element("source") is { } source; at = at.Element("backingStore"))
        {
            names.Add(NameOf(source));
        }

        string chain = string.Join(' ', names);
        return disk.Element("mirror") is not { } mirror
            ? chain
            : $"{chain} | {mirror.Attribute("job")!.Value} {NameOf(mirror.Element("source")!)} {mirror.Element("format")!.Attribute("type")!.Value} ready={mirror.Attribute("ready")?.Value ?? "no"}";
    }

    /// <summary>Names by which the images of the chain record the next: <c>mid.img base.img</c>.</summary>
    internal string Recorded() => string.Join(' ', Disk.Chain.Skip(1).Select(element => element.RecordedName));

    /// <summary>Waits for the end of a job; one of two phases is made to pivot, or to go back, when it is ready.</summary>
    internal async Task<BlockJobStatus> EndAsync(DiskJob job, BlockJobAbortFlags how = BlockJobAbortFlags.Pivot)
    {
        if (await job.WaitForReadyAsync())
        {
            await Api.AbortAsync(Domain, "vda", how);
        }

        return (await job.Completion).Status;
    }

    /// <summary>Starts a domain in the place of the one that was stopped.</summary>
    internal async Task RestartAsync(string xml) => Domain = await Connection.CreateAsync(xml);

    /// <summary>What a guest does: it writes a unit.</summary>
    internal async Task WriteAsync(int unit, int writer)
    {
        _content[unit] = writer;
        await Disk.Open!.WriteAsync(unit * (long)Unit, SectorStamp.Of(unit * (long)Unit, Unit, writer));
    }

    /// <summary>The disk holds what guests wrote.</summary>
    internal async Task AssertContentAsync() => Assert.Equal(_content, await ReadAsync(Disk.Open!.Root));

    /// <summary>An image that is not open holds what guests wrote; <paramref name="format"/> and its chain are opened.</summary>
    internal async Task AssertHoldsAsync(string path, string format)
    {
        await using Disk disk = await BlockLayer.Images.Disk.OpenAsync(path, Machine.As(format) with { Access = NodeAccess.ReadOnly });
        Assert.Equal(_content, await ReadAsync(disk.Root));
    }

    internal Task CreateAsync(string path, string? backing = null, string format = "qcow2")
    {
        return create();

        async Task create()
        {
            var image = new NewImage { Format = format, Length = Units * (long)Unit, Backing = backing is null ? null : new BackingReference(backing, "qcow2") };
            await using Disk disk = await BlockLayer.Images.Disk.CreateAsync(path, image, Machine.As(format));
        }
    }

    internal bool Exists(string path) => Machine.Storage.GetInfo(path) is not null;

    /// <summary>The files in /vm.</summary>
    internal string Files() => string.Join(' ', Machine.Storage.ListFiles("/vm").Select(path => System.IO.Path.GetFileName(path)).Order(StringComparer.Ordinal));

    /// <summary>The code with which a call is refused; Ok if it is not.</summary>
    internal static async Task<LibvirtErrorCode> CodeOfAsync<T>(Func<ValueTask<T>> call)
    {
        try
        {
            await call();
            return LibvirtErrorCode.Ok;
        }
        catch (LibvirtException error)
        {
            return error.Code;
        }
    }

    private static string NameOf(XElement source) => System.IO.Path.GetFileName((source.Attribute("file") ?? source.Attribute("dev"))!.Value);

    private static async Task<int[]> ReadAsync(BlockNode node)
    {
        int[] found = new int[Units];
        byte[] unit = new byte[Unit];
        for (int i = 0; i < Units; i++)
        {
            long offset = i * (long)Unit;
            await node.ReadAsync(offset, unit);
            found[i] = SectorStamp.WriterOf(unit, offset);
            for (int at = 0; at < Unit; at += SectorStamp.Size)
            {
                Assert.True(SectorStamp.WriterOf(unit.AsSpan(at), offset + at) == found[i], $"unit {i} is mixed");
            }
        }

        return found;
    }

    private async Task StartAsync(DomainLifetime lifetime)
    {
        await FillAsync("/vm/base.img", null, 0, 16, writer: 1);
        await FillAsync("/vm/mid.img", "base.img", 8, 16, writer: 2);
        await FillAsync("/vm/top.img", "mid.img", 12, 16, writer: 3);
        string xml = LibvirtWorld.DomainXml("vm", LibvirtWorld.DiskXml("vda", "/vm/top.img"));
        if (lifetime == DomainLifetime.Transient)
        {
            Domain = await Connection.CreateAsync(xml);
            return;
        }

        Domain = Connection.Define(xml);
        await Connection.StartAsync(Domain);
    }

    private async Task FillAsync(string path, string? backing, int first, int count, int writer)
    {
        await CreateAsync(path, backing);
        await using Disk disk = await BlockLayer.Images.Disk.OpenAsync(path, Machine.As("qcow2"));
        await disk.WriteAsync(first * (long)Unit, SectorStamp.Of(first * (long)Unit, count * Unit, writer));
    }
}
