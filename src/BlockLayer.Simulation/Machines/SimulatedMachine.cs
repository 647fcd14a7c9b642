using BlockLayer.Graph;
using BlockLayer.Images;

namespace BlockLayer.Simulation;

/// <summary>
/// A machine in one thread: storage, a clock that does not wait, and everything that happens in an order that its seed decides. It can lose its power at any
/// moment and start again from what its disks kept.
/// </summary>
public sealed class SimulatedMachine
{
    private readonly SimulatedStorageOptions _options;

    /// <summary>A machine with empty disks.</summary>
    /// <param name="seed">Decides the order of everything; the same seed gives the same run.</param>
    /// <param name="storage">Latency, write cache, faults; null: the defaults.</param>
    public SimulatedMachine(ulong seed = 1, SimulatedStorageOptions? storage = null)
    {
        _options = storage ?? new SimulatedStorageOptions();
        Scheduler = new SimulationScheduler(seed);
        Storage = new SimulatedStorageProvider(Scheduler, _options);
        Environment = SimulatedEnvironment.Of(Scheduler, Storage);
    }

    private SimulatedMachine(SimulationScheduler scheduler, CrashState state, SimulatedStorageOptions options)
    {
        _options = options;
        Scheduler = scheduler;
        Storage = state.Open(scheduler, options);
        Environment = SimulatedEnvironment.Of(scheduler, Storage);
    }

    /// <summary>A machine that starts from what a crash left.</summary>
    /// <param name="state">What it left.</param>
    /// <param name="seed">As for a machine with empty disks.</param>
    /// <param name="storage">As for a machine with empty disks.</param>
    internal static SimulatedMachine StartFrom(CrashState state, ulong seed, SimulatedStorageOptions? storage = null)
        => new(new SimulationScheduler(seed), state, storage ?? new SimulatedStorageOptions());

    /// <summary>What drives it, and its clock.</summary>
    public SimulationScheduler Scheduler { get; }

    /// <summary>Its disks, with faults and breakpoints (<see cref="SimulatedStorageProvider.Faults"/>).</summary>
    public SimulatedStorageProvider Storage { get; }

    /// <summary>The world for disks and jobs.</summary>
    public BlockEnvironment Environment { get; }

    /// <summary>How images are opened here.</summary>
    public DiskOptions As(string format) => new() { Format = format, Environment = Environment };

    /// <summary>Creates an image, over a backing file if one is named, and opens it. Called, as everything that waits for this machine, inside <see cref="Run"/>.</summary>
    /// <param name="path">Where.</param>
    /// <param name="length">Bytes of the virtual disk.</param>
    /// <param name="backing">The backing file's path; null for none.</param>
    /// <param name="format">The formats of both.</param>
    public ValueTask<Disk> CreateAsync(string path, long length, string? backing = null, string format = "qcow2")
        => Disk.CreateAsync(path, new NewImage { Format = format, Length = length, Backing = backing is null ? null : new BackingReference(backing, format) }, As(format));

    /// <summary>Runs a test to its end: minutes of virtual time, milliseconds of yours. Inside it, another machine may be run to its end, such as one after a crash.</summary>
    /// <exception cref="SimulationDeadlockException">It waits for something that never comes.</exception>
    public void Run(Func<Task> test) => Scheduler.Run(test);

    /// <summary>Virtual time passes, and everything else has its turn.</summary>
    public Task PassAsync(TimeSpan time) => Task.Delay(time, Scheduler.Time);

    /// <summary>
    /// The power fails now: a machine that starts from what a crash could leave, with the same seed, latency and write cache, and without faults. This one is not used any more. All that could be
    /// left, not just this, is what a <see cref="CrashRecorder"/> enumerates.
    /// </summary>
    /// <param name="loss">What becomes of bytes that no flush has covered.</param>
    public SimulatedMachine Crash(CrashLoss loss = CrashLoss.Everything)
    {
        var image = new CrashImage(0, "the power fails", Storage.Volume, observation: null);
        CrashState state = loss == CrashLoss.Everything ? image.NothingSurvived : image.EverythingSurvived;
        return StartFrom(state, Scheduler.Seed, _options with { Faults = new FaultPlan() });
    }
}
