using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Storage;

namespace BlockLayer.Libvirt.Tests;

/// <summary>A host over files in memory, with a connection that may do everything.</summary>
internal sealed class LibvirtWorld : IAsyncDisposable
{
    internal const long DiskLength = 1 << 20;

    internal LibvirtWorld()
    {
        Files = new MemoryStorageProvider();
        Environment = new BlockEnvironment { Files = Files, Work = ThreadPoolWorkScheduler.Instance, Time = TimeProvider.System };
        Host = new LibvirtHost(new LibvirtHostOptions { Disks = new DiskOptions { Environment = Environment } });
        Connection = Host.Connect();
    }

    internal MemoryStorageProvider Files { get; }

    internal BlockEnvironment Environment { get; }

    internal LibvirtHost Host { get; }

    internal LibvirtConnection Connection { get; }

    public ValueTask DisposeAsync() => Host.DisposeAsync();

    /// <summary>Creates a chain of qcow2 images, the base first; each records the one before by the name that is given with it.</summary>
    internal async Task CreateChainAsync(params (string Path, string? RecordedName)[] images)
    {
        foreach ((string path, string? recorded) in images)
        {
            var image = new NewImage
            {
                Format = "qcow2",
                Length = DiskLength,
                Backing = recorded is null ? null : new BackingReference(recorded, "qcow2"),
            };
            await using Disk disk = await Disk.CreateAsync(path, image, new DiskOptions { Environment = Environment });
        }
    }

    internal static string DiskXml(string target, string path, string format = "qcow2", string more = "")
        => $"<disk type='file' device='disk'><driver name='qemu' type='{format}'/><source file='{path}'/><target dev='{target}'/>{more}</disk>";

    internal static string DomainXml(string name, params string[] disks)
        => $"<domain type='qemu'><name>{name}</name><devices>{string.Concat(disks)}</devices></domain>";

    /// <summary>A running domain "vm" whose disk vda is the chain base.img, mid.img, top.img in /vm.</summary>
    internal async Task<Domain> StartChainOfThreeAsync()
    {
        await CreateChainAsync(("/vm/base.img", null), ("/vm/mid.img", "base.img"), ("/vm/top.img", "mid.img"));
        return await Connection.CreateAsync(DomainXml("vm", DiskXml("vda", "/vm/top.img")));
    }
}
