using BlockLayer.Libvirt.Tests.BlockJobs;
using BlockLayer.Simulation;

namespace BlockLayer.Libvirt.Tests.Streams;

/// <summary>What tests of the generations before BlockPull have in common: a world whose disk lacks units 0 to 11 (8 of the base, 4 of the middle), and the calls.</summary>
internal sealed class StreamRig(BlockJobWorld world)
{
    internal const string Top = "/vm/top.img";
    internal const long DiskLength = BlockJobWorld.Units * (long)BlockJobWorld.Unit;

    /// <summary>Units that have to be copied.</summary>
    internal const int Lacking = 12;

    internal BlockJobWorld World => world;

    internal Domain Domain => world.Domain;

    internal StreamDiskApi StreamDisk { get; } = new(world.Connection);

    internal StreamDiskCalls StreamDiskCalls { get; } = new(world.Connection);

    internal BlockStreamApi BlockStream { get; } = new(world.Connection);

    internal BlockStreamCalls BlockStreamCalls { get; } = new(world.Connection);

    internal LibvirtErrorCode LastCode => world.Connection.LastError.Code;

    internal static void Run(Func<StreamRig, Task> test, DomainLifetime lifetime = DomainLifetime.Transient, ulong seed = 1)
        => BlockJobWorld.Run(world => test(new StreamRig(world)), lifetime, seed);

    /// <summary>Stops whoever reads the base's data next.</summary>
    internal StorageBreakpoint BreakAtBase() => BreakAt("/vm/base.img", StorageOperations.Read);

    internal StorageBreakpoint BreakAt(string path, StorageOperations operations)
        => world.Machine.Storage.Faults.Break(new FaultRule { Operations = operations, Path = path });

    /// <summary>Stops whoever writes the header of the active image.</summary>
    internal StorageBreakpoint BreakAtHeader()
        => world.Machine.Storage.Faults.Break(new FaultRule { Operations = StorageOperations.Write, Path = Top, Range = new(0, 512) });

    /// <summary>One more running domain, with a disk of <see cref="DiskLength"/> on base.img for each path.</summary>
    internal async Task<Domain> AddDomainAsync(string name, params (string Target, string Path)[] disks)
    {
        foreach ((_, string path) in disks)
        {
            await world.CreateAsync(path, "base.img");
        }

        return await world.Connection.CreateAsync(LibvirtWorld.DomainXml(name, [.. disks.Select(disk => LibvirtWorld.DiskXml(disk.Target, disk.Path))]));
    }

    /// <summary>One with the disks vda and vdb: a.img and b.img in /vm.</summary>
    internal Task<Domain> AddDomainOfTwoAsync() => AddDomainAsync("two", ("vda", "/vm/a.img"), ("vdb", "/vm/b.img"));
}
