using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using Xunit;

namespace BlockLayer.Simulation.Tests.Crashes.LiveCopies;

/// <summary>One seeded run: base &lt;- middle &lt;- top with something of its own in each, two guests, one live copy, and every crash that could have been.</summary>
internal sealed class LiveCopyCrashWorld
{
    private const int DiskLength = 192 * 1024;

    private readonly LiveCopyCrashPlan _plan;
    private readonly SimulationScheduler _scheduler;
    private readonly SimulatedStorageProvider _storage;
    private readonly BlockEnvironment _environment;
    private CrashRecorder? _recorder;
    private bool _isTold;  // that the target is the disk from here on
    private byte[]? _kept; // what the copy holds for good
    private int _guestsAtWork;

    internal LiveCopyCrashWorld(ulong seed, LiveCopyCrashPlan plan)
    {
        _plan = plan;
        _scheduler = new SimulationScheduler(seed);
        var faults = new FaultPlan();
        if (plan.DropsTargetFlushes)
        {
            faults.Add(new FaultRule { Operations = StorageOperations.Flush, Path = plan.TargetPath, Effect = FaultEffect.Lie });
        }

        _storage = new SimulatedStorageProvider(_scheduler, new SimulatedStorageOptions { Faults = faults });
        _environment = SimulatedEnvironment.Of(_scheduler, _storage);
    }

    internal int CrashPoints => _recorder!.Images.Count;

    internal bool HasSwitched { get; private set; }

    internal void Run()
    {
        (Disk disk, SectorOracle oracle) = _scheduler.Run(PrepareAsync);
        _recorder = new CrashRecorder(_storage, oracle);
        _recorder.Observe = () => new Promise(oracle.Snapshot(), _isTold, _kept);
        for (int i = 0; i < 2 && _plan.RequestsPerGuest > 0; i++)
        {
            var guest = new OracleGuest(disk.Root, oracle);
            SeededRandom random = _scheduler.CreateRandom((ulong)i);
            _guestsAtWork++;
            _scheduler.Spawn($"guest {i}", async () =>
            {
                await guest.RunAsync(random, _plan.RequestsPerGuest, new GuestProfile { MaxLength = 32 * 1024 });
                _guestsAtWork--;
            });
        }

        _scheduler.Spawn("copy", () => CopyAsync(disk, new OracleGuest(disk.Root, oracle)));
        _scheduler.Run();
        _scheduler.Run(() => disk.DisposeAsync().AsTask());
        _recorder.Dispose();
    }

    internal Task<long> CheckCrashesAsync(CrashEnumeration enumeration) => CrashCheck.RunAsync(_recorder!, CheckAsync, enumeration);

    private async Task CopyAsync(Disk disk, OracleGuest guest)
    {
        await guest.WriteAsync(DiskLength - 8192, 4096); // nobody flushes it before the job begins
        LiveCopyJob job = await StartAsync(disk, () =>
        {
            _isTold = true;
            return ValueTask.CompletedTask;
        });
        while (job.State != JobState.Ready || (_plan.IsCancelled && _guestsAtWork > 0))
        {
            Assert.False(job.Completion.IsCompleted, "it ended before it was ready");
            await Task.Delay(TimeSpan.FromMilliseconds(5), _scheduler.Time);
        }

        if (_plan.IsCancelled)
        {
            job.Cancel();
        }
        else
        {
            job.Complete();
        }

        JobResult result = await job.Completion;
        Assert.True(result.Outcome == JobOutcome.Completed, result.Error?.ToString());
        HasSwitched = job.HasSwitched;
        await guest.FlushAsync();
        if (_plan.IsCancelled)
        {
            _kept = await OracleGuest.ReadAllAsync(disk.Root); // flushed or not, the job has made it durable
        }
    }

    private async Task<LiveCopyJob> StartAsync(Disk disk, Func<ValueTask> beforeSwitch)
    {
        MirrorCopyMode mode = _plan.IsBlocking ? MirrorCopyMode.WriteBlocking : MirrorCopyMode.Background;
        if (_plan.IsCommit)
        {
            return await disk.StartCommitAsync(new ActiveCommitOptions { CopyMode = mode, Granularity = 4096, BeforeSwitch = beforeSwitch });
        }

        var create = new NewImage { Format = _plan.Format, Options = Clusters(_plan.Format) };
        MirrorScope scope = _plan.Kind switch
        {
            "top" => MirrorScope.Top,
            "none" => MirrorScope.None,
            _ => MirrorScope.Full,
        };
        return await disk.StartMirrorAsync(
            _plan.TargetPath, new MirrorJobOptions { Scope = scope, CopyMode = mode, Granularity = 4096, BeforeSwitch = beforeSwitch }, create);
    }

    private async Task<(Disk Disk, SectorOracle Oracle)> PrepareAsync()
    {
        string format = _plan.IsCommit ? _plan.Format : "raw";
        var options = new DiskOptions { Environment = _environment };
        var lowest = new NewImage { Format = format, Length = DiskLength - (20 * 1024), Options = Clusters(format) };
        await using (Disk written = await Disk.CreateAsync("/vm/base", lowest, options))
        {
            await written.WriteAsync(0, GuestStamp.Create(0, DiskLength - (20 * 1024), writer: 1 << 30));
            await written.FlushAsync();
        }

        await using (Disk written = await Disk.CreateAsync("/vm/middle", Over("base", format), options))
        {
            await written.WriteAsync(20 * 1024, GuestStamp.Create(20 * 1024, 60 * 1024, writer: (1 << 30) + 1));
            await written.WriteZeroesAsync(100 * 1024, 30 * 1024);
            await written.FlushAsync();
        }

        Disk disk = await Disk.CreateAsync("/vm/top", Over("middle", "qcow2"), options);
        await disk.WriteAsync(40 * 1024, GuestStamp.Create(40 * 1024, 9 * 1024, writer: (1 << 30) + 2));
        await disk.FlushAsync();
        return (disk, new SectorOracle(DiskLength, await OracleGuest.ReadAllAsync(disk.Root)));
    }

    private async Task CheckAsync(CrashState state, SimulatedStorageProvider storage)
    {
        var promise = (Promise)state.Image.Observation!;
        (string path, string format) = promise.IsTold ? (_plan.TargetPath, _plan.Format) : ("/vm/top", "qcow2");
        promise.Oracle.Check(await ReadAsync(storage, path, format));
        if (promise.Kept is { } kept)
        {
            byte[] copy = await ReadAsync(storage, _plan.TargetPath, _plan.Format);
            Assert.Equal(DiskLength, kept.AsSpan().CommonPrefixLength(copy));
        }
    }

    private static async Task<byte[]> ReadAsync(SimulatedStorageProvider storage, string path, string format)
    {
        var options = new DiskOptions { Format = format, Environment = SimulatedEnvironment.Inline(storage), Access = NodeAccess.ReadOnly };
        await using Disk disk = await Disk.OpenAsync(path, options);
        ImageCheckReport? report = ImageChecker.CanCheck(disk.Root) ? await ImageChecker.CheckAsync(disk.Root) : null;
        Assert.True(report is null or { Corruptions: 0 }, string.Join(Environment.NewLine, report?.Findings ?? []));
        return (await OracleGuest.ReadAllAsync(disk.Root))[..DiskLength];
    }

    private static NewImage Over(string backing, string format)
        => new() { Format = "qcow2", Length = DiskLength, Backing = new BackingReference(backing, format), Options = Clusters("qcow2") };

    private static Dictionary<string, string> Clusters(string format) => format == "raw" ? [] : new() { ["cluster_size"] = "4096" };

    private sealed record Promise(SectorOracle Oracle, bool IsTold, byte[]? Kept);
}
