using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Simulation.Tests.Crashes.Pulls;

/// <summary>
/// One seeded run: guests use a disk while its chain is pulled, on simulated storage with a volatile cache. Reads are checked against an oracle while it
/// runs; what a crash could have left is checked afterwards.
/// </summary>
internal sealed class PullWorld : IDisposable
{
    private static readonly GuestProfile s_profile = new() { Zeroes = 1, Discards = 1, Flushes = 3, MaxLength = 24 * 1024 };

    private readonly PullPlan _plan;
    private readonly PullSabotage _sabotage;
    private readonly SimulationScheduler _scheduler;
    private readonly SeededRandom _random;
    private readonly SimulatedStorageProvider _storage;
    private readonly SectorOracle _oracle;
    private readonly CrashRecorder _recorder;
    private Disk? _disk;
    private bool _isComplete;

    private PullWorld(PullPlan plan, PullSabotage sabotage, SimulationScheduler scheduler, SimulatedStorageProvider storage, byte[] content)
    {
        _plan = plan;
        _sabotage = sabotage;
        _scheduler = scheduler;
        _random = scheduler.CreateRandom(11);
        _storage = storage;
        _oracle = new SectorOracle(content.Length, content);
        _recorder = new CrashRecorder(storage, _oracle) { Observe = () => new PullPromise(_oracle.Snapshot(), _isComplete) };
    }

    internal static async Task<PullWorld> CreateAsync(PullPlan plan, ulong seed, PullSabotage? sabotage = null)
    {
        var scheduler = new SimulationScheduler(seed);
        var storage = new SimulatedStorageProvider(scheduler, new SimulatedStorageOptions { Seed = seed });
        byte[] content = await PullChain.MakeAsync(plan, storage);
        return new PullWorld(plan, sabotage ?? new PullSabotage(), scheduler, storage, content);
    }

    /// <summary>True when a first run of the pull was stopped before its end.</summary>
    internal bool WasCancelled { get; private set; }

    public void Dispose() => _recorder.Dispose();

    /// <summary>Runs guests and pull to their end.</summary>
    internal void Run()
    {
        StorageProvider files = _sabotage.Hook is { } hook ? new HookedStorageProvider(_storage, PullPlan.Current, hook) : _storage;
        BlockEnvironment environment = SimulatedEnvironment.Of(_scheduler, _storage) with { Files = files };
        _disk = _scheduler.Run(() => PullChain.OpenAsync(environment, _sabotage.Formats).AsTask());
        for (int guest = 0; guest < _plan.GuestCount; guest++)
        {
            _scheduler.Spawn($"guest {guest}", () => RunGuestAsync(new OracleGuest(_disk.Root, _oracle)));
        }

        _scheduler.Spawn("pull", PullAsync);
        _scheduler.Run();
        _scheduler.Run(async () =>
        {
            await new OracleGuest(_disk.Root, _oracle).ReadAsync(0, PullPlan.Length);
            await _disk.DisposeAsync();
        });
    }

    /// <summary>Reopens every state that a crash could have left. Returns how many there were.</summary>
    /// <exception cref="CrashCheckException">A state breaks a promise.</exception>
    internal Task<long> CheckCrashesAsync(CrashEnumeration? enumeration = null)
        => CrashCheck.RunAsync(_recorder, async (state, storage) =>
        {
            var promise = (PullPromise)state.Image.Observation!;
            await using Disk disk = await PullChain.OpenAsync(SimulatedEnvironment.Inline(storage));
            AssertChain(disk, promise.IsComplete);
            promise.Disk.Check(await OracleGuest.ReadAllAsync(disk.Root));
            ImageCheckReport report = await ImageChecker.CheckAsync(disk.Root);
            Assert.True(report.Corruptions == 0, string.Join(Environment.NewLine, report.Findings));
        }, enumeration);

    /// <summary>The same, with the pull run again in every state: it completes, and the disk reads as before.</summary>
    internal Task<long> CheckRerunsAsync(CrashEnumeration enumeration)
        => CrashCheck.RunAsync(_recorder, async (state, storage) =>
        {
            await using Disk disk = await PullChain.OpenAsync(SimulatedEnvironment.Inline(storage));
            byte[] before = await OracleGuest.ReadAllAsync(disk.Root);
            StreamJob job = disk.NewPull(_plan);
            await job.StartAsync();
            JobResult result = await job.Completion;
            Assert.True(result.Outcome == JobOutcome.Completed, result.Error?.ToString());
            AssertChain(disk, isComplete: true);
            Assert.True((await OracleGuest.ReadAllAsync(disk.Root)).AsSpan().SequenceEqual(before), "the pull changed what the disk reads");
            ImageCheckReport report = await ImageChecker.CheckAsync(disk.Root);
            Assert.True(report.Corruptions == 0, string.Join(Environment.NewLine, report.Findings));
        }, enumeration);

    private void AssertChain(Disk disk, bool isComplete)
    {
        string[] chain = [.. disk.Chain.Select(static image => image.Path!.Split('/').Last())];
        bool isAfter = IsChain(_plan.ChainAfter);
        string occasion = isComplete ? "after success was reported" : "before success was reported";
        Assert.True(isAfter || (!isComplete && IsChain(_plan.ChainBefore)), $"the chain is {string.Join(" -> ", chain)} {occasion}");

        bool IsChain(IReadOnlyList<string> paths) => chain.SequenceEqual(paths.Select(static path => path[1..]));
    }

    private async Task PullAsync()
    {
        if (_plan.IsCancelledFirst)
        {
            await PullOnceAsync(cancelAfterSteps: _random.Next(50));
        }

        if (!_isComplete)
        {
            await PullOnceAsync(cancelAfterSteps: null);
        }
    }

    private async Task PullOnceAsync(int? cancelAfterSteps)
    {
        StreamJob job = _disk!.NewPull(_plan);
        await job.StartAsync();
        for (int step = 0; step < cancelAfterSteps; step++)
        {
            await _scheduler.StepAsync();
        }

        if (cancelAfterSteps is not null)
        {
            job.TryCancel();
        }

        JobResult result = await job.Completion;
        Assert.True(result.Outcome == JobOutcome.Completed || (cancelAfterSteps is not null && result.Outcome == JobOutcome.Cancelled), $"{result}");
        WasCancelled |= result.Outcome == JobOutcome.Cancelled;
        if (result.Outcome == JobOutcome.Completed)
        {
            _isComplete = true;
            _recorder.Capture("the pull was reported complete");
        }
    }

    // Guests rest between requests, so that some come after the pull.
    private async Task RunGuestAsync(OracleGuest guest)
    {
        for (int i = 0; i < _plan.RequestsPerGuest; i++)
        {
            await guest.RunAsync(_random, requests: 1, s_profile);
            for (int rest = _random.Next(20); rest > 0; rest--)
            {
                await _scheduler.StepAsync();
            }
        }
    }
}
