using BlockLayer.Errors;
using BlockLayer.Formats.CowOverlay;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Formats.Qed;
using BlockLayer.Formats.Raw;
using BlockLayer.Graph;
using BlockLayer.Images;

namespace BlockLayer.Simulation;

/// <summary>
/// The whole library under one seed: disks with chains, guests that know what they are owed, operators who start jobs on them and disturb them, storage that
/// fails, and power that fails. A run that returns has kept every promise.
/// </summary>
/// <remarks>
/// <para>Promises: a read returns what was written; after a crash a sector holds what was flushed or something written since; a job ends as it was told to, unless a
/// fault was injected; when all is over the images pass their check, and hold after a reopen what they held before.</para>
/// </remarks>
public sealed class SystemRun
{
    private const double RestartChance = 0.3;

    private static readonly FormatRegistry s_smallCaches = new(
        new Qcow2Format(new Qcow2OpenOptions { TableCacheLength = 8 * 4096 }), QedFormat.Instance, CowOverlayFormat.Instance, RawFormat.Instance);

    private readonly SystemOptions _options;
    private readonly SeededRandom _random;
    private readonly List<SystemDisk> _disks = [];

    private SystemRun(ulong seed, SystemOptions options)
    {
        _options = options;
        Machine = new SimulatedMachine(seed, StorageFor(seed));
        Report = new SystemReport(seed);
        Formats = options.Formats ?? (seed % 2 == 0 ? BuiltInFormats.All : s_smallCaches);
        _random = Machine.Scheduler.CreateRandom(11);
    }

    /// <summary>Where it happens; after a crash, another one.</summary>
    internal SimulatedMachine Machine { get; private set; }

    /// <summary>The formats of its images.</summary>
    internal FormatRegistry Formats { get; }

    /// <summary>What has happened so far.</summary>
    internal SystemReport Report { get; }

    /// <summary>The disks.</summary>
    internal IReadOnlyList<SystemDisk> Disks => _disks;

    /// <summary>True once storage has been made to fail: requests and jobs may fail too.</summary>
    internal bool HasFaults { get; private set; }

    /// <summary>Runs one seed to its end.</summary>
    /// <exception cref="SimulationSearchException">A promise was broken; the message names the seed.</exception>
    public static SystemReport Run(ulong seed, SystemOptions? options = null)
    {
        try
        {
            var run = new SystemRun(seed, options ?? new SystemOptions());
            run.Play();
            return run.Report;
        }
        catch (Exception error) when (error is not SimulationSearchException)
        {
            throw new SimulationSearchException(new SimulationOptions { Seed = seed }, error);
        }
    }

    private static SimulatedStorageOptions StorageFor(ulong seed)
    {
        bool slow = seed % 3 == 0; // else requests take no time, which is the sharpest order for races
        return new SimulatedStorageOptions
        {
            Seed = seed,
            Latency = slow ? new LatencyModel { Fixed = TimeSpan.FromMicroseconds(100), Flush = TimeSpan.FromMilliseconds(1), Jitter = 1 } : LatencyModel.Immediate,
        };
    }

    private void Play()
    {
        Machine.Run(CreateAsync);
        CrashState? left = Live(_options);
        if (left is null || !_random.Chance(RestartChance))
        {
            return;
        }

        // What comes after a crash is shorter, and has one crash of its own.
        Report.Restarts++;
        Machine = SimulatedMachine.StartFrom(left, _random.NextUInt64(), StorageFor(Report.Seed));
        SystemOptions after = _options with { Requests = _options.Requests / 2, Jobs = (_options.Jobs + 1) / 2, CrashPoints = Math.Min(1, _options.CrashPoints) };
        Machine.Run(() => ReopenAsync(after, (DiskPromise[])left.Image.Observation!));
        Live(after);
    }

    // Until everybody is done. Returns one of the states that a crash could have left.
    private CrashState? Live(SystemOptions options)
    {
        var crashes = new CrashSampler(this, options, _random.Fork(1));
        options.Sabotage?.Invoke(this);
        InjectFaults();
        crashes.Begin();
        foreach (SystemDisk disk in _disks)
        {
            disk.Spawn();
        }

        Machine.Scheduler.Run();
        crashes.End();
        Report.Faults += Machine.Storage.Faults.Hits;
        Machine.Storage.Faults.Clear();
        Machine.Run(CheckAsync);
        Report.VirtualTime += Machine.Scheduler.Elapsed;
        Report.TraceHash ^= Machine.Scheduler.TraceHash;
        return crashes.Survivor;
    }

    private async Task CreateAsync()
    {
        int count = 1 + _random.Next(_options.MaxDisks);
        for (int number = 0; number < count; number++)
        {
            _disks.Add(await SystemDisk.CreateAsync(this, _options, number, _random.Fork((ulong)number)).ConfigureAwait(false));
        }
    }

    private async Task ReopenAsync(SystemOptions options, DiskPromise[] promises)
    {
        _disks.Clear();
        foreach (DiskPromise promise in promises)
        {
            _disks.Add(await SystemDisk.ReopenAsync(this, options, promise, _random.Fork((ulong)_disks.Count)).ConfigureAwait(false));
        }
    }

    // Half of the runs have none, so that what they show is nobody else's fault.
    private void InjectFaults()
    {
        HasFaults = _random.Next(2) == 0 && _options.Faults;
        if (!HasFaults)
        {
            return;
        }

        BlockErrorKind kind = _random.Next(2) == 0 ? BlockErrorKind.Io : BlockErrorKind.NoSpace;
        FaultEffect effect = _random.Next(2) == 0 ? FaultEffect.Fail : FaultEffect.FailPartly;
        Machine.Storage.Faults.Add(new FaultRule
        {
            Operations = _random.Next(2) == 0 ? StorageOperations.Read | StorageOperations.AnyChange : StorageOperations.Any,
            Probability = 0.002,
            Count = 1 + _random.Next(6),
            Effect = effect,
            Kind = kind,
        });
    }

    private async Task CheckAsync()
    {
        foreach (SystemDisk disk in _disks)
        {
            await disk.CheckAsync().ConfigureAwait(false);
        }

        if (Machine.Environment.Buffers.Outstanding != 0)
        {
            throw new InvalidOperationException($"{Machine.Environment.Buffers.Outstanding} buffers were not given back.");
        }

        if (string.Join(", ", Machine.Storage.LockedFiles) is { Length: > 0 } locked)
        {
            throw new InvalidOperationException($"Every disk is closed, and somebody still holds the lock of {locked}.");
        }
    }
}
