using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Simulation;
using Xunit;

namespace BlockLayer.Libvirt.Tests.Snapshots;

/// <summary>One domain of two disks, whose snapshots are made and deleted at random, on a machine whose power and notes fail at random; and what all of its images have to show.</summary>
internal sealed class SnapshotTreeRun
{
    private const int MaxSnapshots = 6;

    private static readonly CrashEnumeration s_enumeration = new() { ExhaustiveLimit = 4, RandomSubsets = 8, TornWrites = false };
    private static readonly GuestProfile s_profile = new() { MaxLength = 24 * 1024, Zeroes = 0, Discards = 0, Writes = 4, DurableWrites = 3, Flushes = 1 };

    // What keeps a note from being made, or from lasting for certain.
    private static readonly FaultRule[] s_faults =
    [
        new() { Operations = StorageOperations.Write, Path = "/meta/vm.snapshots.xml.new", Kind = BlockErrorKind.NoSpace },
        new() { Operations = StorageOperations.Rename, Path = "/meta/vm.snapshots.xml.new" },
        new() { Operations = StorageOperations.FlushDirectory, Path = "/meta" },
    ];

    private readonly SeededRandom _random;
    private readonly SectorOracle[] _oracles = new SectorOracle[SnapshotWorld.Targets.Length];
    private readonly string[] _defined = ["/vm/a.qcow2", "/vm/b.qcow2"]; // what a definition says that was written when the disks were last put somewhere by hand
    private readonly HashSet<string> _own = [];                          // images that were made by hand, or that those stand on: no deletion of a snapshot has to remove them
    private readonly Dictionary<string, byte[]> _left = [];              // images that the disks were taken off, and what they show
    private SimulationScheduler _scheduler;
    private SimulatedStorageProvider _storage;
    private SnapshotWorld _world;
    private int _names;

    internal SnapshotTreeRun(ulong seed)
    {
        _random = new SeededRandom(seed);
        _scheduler = new SimulationScheduler(seed);
        _storage = new SimulatedStorageProvider(_scheduler);
        _world = _scheduler.Run(() => SnapshotWorld.StartAsync(SimulatedEnvironment.Of(_scheduler, _storage)));
        _scheduler.Run(async () =>
        {
            foreach (string target in SnapshotWorld.Targets)
            {
                await _world.Open(target).FlushAsync();
            }

            await TakeContentAsync();
        });
    }

    internal int Made { get; private set; }

    internal int Deleted { get; private set; }

    internal int Refused { get; private set; }

    internal int Failed { get; private set; }

    internal int Crashes { get; private set; }

    internal void Run(int steps)
    {
        for (int step = 0; step < steps; step++)
        {
            _scheduler.Run(() => Task.WhenAll(SnapshotWorld.Targets.Select((_, i) => GuestAsync(i, requests: 4))));
            SnapshotRecord[] snapshots = [.. _scheduler.Run(_world.TreeAsync).All];
            SnapshotRecord? chosen = snapshots.Length == 0 ? null : snapshots[_random.Next(snapshots.Length)];
            int choice = _random.Next(8);
            if (chosen is null || (choice < 4 && snapshots.Length < MaxSnapshots))
            {
                Do(CreateAsync);
            }
            else if (choice < 7)
            {
                Do(() => DeleteAsync(chosen));
            }
            else
            {
                _scheduler.Run(() => PutBackAsync(chosen));
            }

            _scheduler.Run(VerifyAsync);
        }
    }

    // Does it to the end. If the power failed meanwhile, the machine goes on with what that has left.
    private void Do(Func<Task> step)
    {
        using var recorder = new CrashRecorder(_storage) { Observe = Promise };
        _scheduler.Run(() => TroubledAsync(step));
        recorder.Capture("it is done");
        if (_random.Chance(0.5))
        {
            Reboot(recorder);
        }
    }

    // Some notes may fail. What that has left is ended, and the domain runs afterwards.
    private async Task TroubledAsync(Func<Task> step)
    {
        FaultRule? fault = _random.Chance(0.3) ? s_faults[_random.Next(s_faults.Length)] with { Skip = _random.Next(4), Count = 1 + _random.Next(2) } : null;
        if (fault is null)
        {
            await step();
            return;
        }

        _storage.Faults.Add(fault);
        try
        {
            await step();
        }
        catch (LibvirtException error) when (IsInjected(error))
        {
            Failed++;
        }

        _storage.Faults.Remove(fault);
        if (_world.Domain.State == DomainState.ShutOff)
        {
            await _world.Connection.StartAsync(_world.Domain);
        }

        await _world.Api.FinishDeletionAsync(_world.Domain);
        await _world.Api.SetCurrentAsync(_world.Domain, (await _world.TreeAsync()).CurrentName); // the file may hold what a note said that failed, until the next
    }

    private static bool IsInjected(LibvirtException error) => error.Message.Contains("Injected fault", StringComparison.Ordinal);

    private void Reboot(CrashRecorder recorder)
    {
        Crashes++;
        CrashImage image = recorder.Images[_random.Next(recorder.Images.Count)];
        CrashState[] states = [.. image.EnumerateStates(s_enumeration)];
        _scheduler = new SimulationScheduler(_random.NextUInt64());
        _storage = states[_random.Next(states.Length)].Open(_scheduler);
        SnapshotWorld before = _world;
        using var again = new CrashRecorder(_storage) { Observe = () => image.Observation };
        _world = SnapshotWorld.Define(SimulatedEnvironment.Of(_scheduler, _storage), SnapshotWorld.Xml(_defined[0], _defined[1]));
        _world.ShowsAs(before);
        _scheduler.Run(() => _world.Connection.StartAsync(_world.Domain).AsTask());
        again.Capture("the domain runs");
        if (_random.Chance(0.2))
        {
            Reboot(again);
            return;
        }

        var promise = (SectorOracle[])image.Observation!;
        _scheduler.Run(async () =>
        {
            for (int i = 0; i < promise.Length; i++)
            {
                promise[i].Check(await _world.ReadAsync(SnapshotWorld.Targets[i]));
            }

            await TakeContentAsync();
        });
    }

    private async Task CreateAsync()
    {
        string name = $"s{++_names}";
        MergeDirection[] merges = [.. SnapshotWorld.Targets.Select(_ => _random.Chance(0.5) ? MergeDirection.Forward : MergeDirection.Backward)];
        int without = _random.Next(8); // one of the disks, mostly none
        await _world.RememberAsync(name); // guests are quiet, so that it is known what the snapshot shows
        string disks = string.Concat(SnapshotWorld.Targets.Select((target, i) => i == without
            ? $"<disk name='{target}' snapshot='no'/>"
            : $"<disk name='{target}'><on_delete merge='{(merges[i] == MergeDirection.Forward ? "forward" : "backward")}'/></disk>"));
        await SometimesShutOffAsync(requests: 0, async () => await _world.Api.CreateAsync(_world.Domain, $"<domainsnapshot><name>{name}</name><disks>{disks}</disks></domainsnapshot>"));
        Made++;
    }

    private async Task DeleteAsync(SnapshotRecord record)
    {
        SnapshotTree tree = await _world.TreeAsync();
        if (tree.CurrentName != record.Name && tree.ChildrenOf(record.Name).Count == 0)
        {
            foreach (SnapshotDiskRecord disk in record.Disks)
            {
                _left.Remove(disk.Overlay.Path); // goes with the snapshot
                _own.Add(disk.Frozen.Path);      // stays, whoever else knows of it
            }
        }

        // An older file that others stand on stays for them, and stays when they go: it is theirs.
        var search = new OverlaySearch(_world.Environment);
        await search.LookInAsync("/vm", CancellationToken.None);
        _own.UnionWith(record.Disks.Where(disk => search.OverlaysOf(disk.Frozen.Path, except: [disk.Overlay.Path]).Count > 0).Select(static disk => disk.Frozen.Path));

        string before = Describe(tree);
        try
        {
            await SometimesShutOffAsync(requests: 6, () => _world.Api.DeleteAsync(_world.Domain, record.Name).AsTask());
            Deleted++;
        }
        catch (LibvirtException refusal) when (!IsInjected(refusal) && refusal.Code is LibvirtErrorCode.OperationUnsupported or LibvirtErrorCode.OperationFailed)
        {
            Assert.Equal(before, Describe(await _world.TreeAsync()));
            Refused++;
        }
    }

    // Guests write meanwhile, if the domain runs.
    private async Task SometimesShutOffAsync(int requests, Func<Task> work)
    {
        if (_random.Chance(0.25))
        {
            await _world.Connection.ShutOffAsync(_world.Domain);
            try
            {
                await work();
            }
            finally
            {
                await _world.Connection.StartAsync(_world.Domain);
            }
        }
        else
        {
            Task guests = Task.WhenAll(SnapshotWorld.Targets.Select((_, i) => GuestAsync(i, requests)));
            try
            {
                await work();
            }
            finally
            {
                await guests;
            }
        }
    }

    // As somebody does it who has no call for it: new overlays of the images that the snapshot has frozen, a definition that names them, and the snapshot before it made current.
    private async Task PutBackAsync(SnapshotRecord record)
    {
        if (record.Disks.Any(static disk => disk.IsFrozenChanged))
        {
            return;
        }

        foreach (SnapshotDiskRecord disk in record.Disks)
        {
            _left[_world.Domain.FindDisk(disk.Target).Source!.Path] = await _world.ReadAsync(disk.Target);
        }

        await _world.Connection.ShutOffAsync(_world.Domain);
        for (int i = 0; i < _defined.Length; i++)
        {
            string target = SnapshotWorld.Targets[i];
            _defined[i] = _world.Domain.FindDisk(target).Source!.Path;
            if (record.Disks.FirstOrDefault(disk => disk.Target == target) is { } frozen)
            {
                var image = new NewImage
                {
                    Format = "qcow2",
                    Length = SnapshotWorld.DiskLength,
                    Backing = new BackingReference(frozen.Frozen.Path["/vm/".Length..], "qcow2"),
                };
                _defined[i] = $"{frozen.Frozen.Path[..5]}.branch{++_names}";
                await new ImageCreator(BuiltInFormats.All, _world.Environment).CreateAsync(_defined[i], image, OpenPolicy.Default);
                _own.Add(_defined[i]);
                _oracles[i] = new SectorOracle(SnapshotWorld.DiskLength, _world.Shown(record.Name, target));
            }
        }

        _world.Connection.Define(SnapshotWorld.Xml(_defined[0], _defined[1]));
        await _world.Connection.StartAsync(_world.Domain);
        await _world.Api.SetCurrentAsync(_world.Domain, record.Parent);
    }

    private async Task VerifyAsync()
    {
        for (int i = 0; i < _oracles.Length; i++)
        {
            await new OracleGuest(_world.Open(SnapshotWorld.Targets[i]).Root, _oracles[i]).ReadAsync(0, SnapshotWorld.DiskLength);
        }

        Assert.Null(await _world.Api.GetDeletionAsync(_world.Domain));
        Assert.Null((await SnapshotStore.OpenAsync("/meta", "vm", _storage)).Creation);
        await _world.Connection.ShutOffAsync(_world.Domain);
        await _world.AssertSnapshotsShowWhatTheyDidAsync();
        foreach ((string path, byte[] content) in _left)
        {
            await _world.AssertShowsAsync(path, content);
        }

        await AssertNoFileIsLostAsync();
        await _world.Connection.StartAsync(_world.Domain);
    }

    // Every file of a disk or of a snapshot is there; and every file there is one of those, or somebody's own, or lies below one.
    private async Task AssertNoFileIsLostAsync()
    {
        var known = new HashSet<string>(StringComparer.Ordinal);
        IEnumerable<string> remembered = (await _world.TreeAsync()).All.SelectMany(static record => record.Disks).SelectMany(static disk => new[] { disk.Frozen.Path, disk.Overlay.Path });
        foreach (string top in remembered.Concat(_world.Domain.Disks.Select(static disk => disk.Source!.Path)).Concat(_left.Keys))
        {
            await using Disk disk = await Disk.OpenAsync(top, new DiskOptions { Access = NodeAccess.ReadOnly, Environment = _world.Environment });
            known.UnionWith(disk.Chain.Select(static image => image.Path!));
        }

        Assert.Equal([], _storage.ListFiles("/vm").Except(known).Where(path => !_own.Contains(path)));
    }

    private Task GuestAsync(int disk, int requests)
        => new OracleGuest(_world.Open(SnapshotWorld.Targets[disk]).Root, _oracles[disk]).RunAsync(new SeededRandom(_random.NextUInt64()), requests, s_profile);

    private SectorOracle[] Promise() => [.. _oracles.Select(static oracle => oracle.Snapshot())];

    // What the disks hold now is durable.
    private async Task TakeContentAsync()
    {
        for (int i = 0; i < _oracles.Length; i++)
        {
            _oracles[i] = new SectorOracle(SnapshotWorld.DiskLength, await _world.ReadAsync(SnapshotWorld.Targets[i]));
        }
    }

    private string Describe(SnapshotTree tree)
        => $"{tree.CurrentName} {_world.Chain("vda")} {_world.Chain("vdb")} {string.Join(' ', _storage.ListFiles("/vm"))} {string.Join(' ', tree.All.Select(static record => record.GetXml()))}";
}
