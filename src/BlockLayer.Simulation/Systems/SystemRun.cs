using BlockLayer.Errors;

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
    private readonly SystemOptions _options;
    private readonly SeededRandom _random;
    private readonly List<SystemDisk> _disks = [];
    private readonly CrashSampler _crashes;

    private SystemRun(ulong seed, SystemOptions options)
    {
        _options = options;
        Machine = new SimulatedMachine(seed, StorageFor(seed));
        Report = new SystemReport(seed);
        _random = Machine.Scheduler.CreateRandom(11);
        _crashes = new CrashSampler(this, options, Machine.Scheduler.CreateRandom(12));
    }

    /// <summary>Where it happens.</summary>
    internal SimulatedMachine Machine { get; }

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
        _options.Sabotage?.Invoke(this);
        InjectFaults();
        _crashes.Begin();
        foreach (SystemDisk disk in _disks)
        {
            disk.Spawn();
        }

        Machine.Scheduler.Run();
        _crashes.End();
        Report.Faults = Machine.Storage.Faults.Hits;
        Machine.Storage.Faults.Clear();
        Machine.Run(CheckAsync);
        Report.VirtualTime = Machine.Scheduler.Elapsed;
    }

    private async Task CreateAsync()
    {
        int count = 1 + _random.Next(_options.MaxDisks);
        for (int number = 0; number < count; number++)
        {
            _disks.Add(await SystemDisk.CreateAsync(this, _options, number, _random.Fork((ulong)number)).ConfigureAwait(false));
        }
    }

    // Half of the runs have none, so that what they show is nobody else's fault.
    private void InjectFaults()
    {
        HasFaults = _random.Next(2) == 0;
        if (!HasFaults)
        {
            return;
        }

        BlockErrorKind kind = _random.Next(2) == 0 ? BlockErrorKind.Io : BlockErrorKind.NoSpace;
        FaultEffect effect = _random.Next(2) == 0 ? FaultEffect.Fail : FaultEffect.FailPartly;
        Machine.Storage.Faults.Add(new FaultRule
        {
            Operations = StorageOperations.Read | StorageOperations.AnyChange,
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
    }
}
