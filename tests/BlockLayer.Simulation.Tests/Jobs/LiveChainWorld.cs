using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Simulation.Tests.Interleavings;
using Xunit;

namespace BlockLayer.Simulation.Tests.Jobs;

/// <summary>
/// One seeded run over real images in simulated files: guests use a disk while its users put overlays on it, pull, commit and rebase parts of its chain, and meddle
/// with each other's jobs. What it shows is held against an oracle, while it runs and after it was closed and opened again.
/// </summary>
internal sealed class LiveChainWorld
{
    private const int DiskLength = 320 * 1024;
    private const int UserCount = 2;
    private const int StepsPerUser = 8;
    private const int RequestsPerGuest = 20;
    private const int LongestChain = 7;

    private static readonly string[] s_formats = ["qcow2 4096", "qcow2 65536", "qed 4096"];

    private readonly SimulationScheduler _scheduler;
    private readonly SeededRandom _random;
    private readonly SimulatedStorageProvider _storage;
    private readonly SectorOracle _oracle;
    private readonly Disk _disk;
    private int _overlays;

    internal LiveChainWorld(SimulationScheduler scheduler)
    {
        _scheduler = scheduler;
        _random = scheduler.CreateRandom(3);
        _storage = new SimulatedStorageProvider(scheduler, new SimulatedStorageOptions());
        byte[] content = GuestStamp.Create(0, DiskLength, writer: 1 << 30);
        _storage.AddFile("/vm/base", content);
        byte[] other = GuestStamp.Create(0, DiskLength - 65536, writer: 1 << 30);
        GuestStamp.Create(100 * 1024, 50 * 1024, writer: 1 << 29).CopyTo(other, 100 * 1024);
        _storage.AddFile("/vm/other", other);
        _oracle = new SectorOracle(DiskLength, content);
        var options = new DiskOptions { Format = "raw", Environment = SimulatedEnvironment.Of(scheduler, _storage) };
        _disk = scheduler.Run(async () => await Disk.OpenAsync("/vm/base", options));
    }

    /// <summary>What was done, by kind and outcome.</summary>
    internal Dictionary<string, int> Done { get; } = [];

    internal void Run()
    {
        _scheduler.Run(PutOverlayAsync);
        _scheduler.Run(PutOverlayAsync);
        for (int i = 0; i < 2; i++)
        {
            SeededRandom random = _scheduler.CreateRandom((ulong)(10 + i));
            _scheduler.Spawn($"guest {i}", () => RunGuestAsync(new OracleGuest(_disk.Root, _oracle), random));
        }

        for (int i = 0; i < UserCount; i++)
        {
            _scheduler.Spawn($"user {i}", UseAsync);
        }

        _scheduler.Run();
        string[] chain = [.. _disk.Chain.Select(static image => image.Path!)];
        _scheduler.Run(CloseAsync);
        _scheduler.Run(() => CheckFilesAsync(chain));
    }

    private async Task CloseAsync()
    {
        Assert.Same(_disk.Chain[0], ((RootNode)_disk.Root).Filtered.Child);
        Assert.All(_disk.Chain, static image => Assert.Empty(image.Claims));
        Assert.All(_disk.Chain.Skip(1), static image => Assert.True(image.IsReadOnly, $"'{image.NodeName}' is writable"));
        await new OracleGuest(_disk.Root, _oracle).ReadAsync(0, DiskLength);
        await _disk.DisposeAsync();
    }

    // As another program that knows nothing but the files.
    private async Task CheckFilesAsync(string[] chain)
    {
        var options = new DiskOptions { Environment = SimulatedEnvironment.Of(_scheduler, _storage), Access = NodeAccess.ReadOnly };
        await using Disk disk = await Disk.OpenAsync(chain[0], options);
        Assert.Equal(chain, disk.Chain.Select(static image => image.Path));
        await new OracleGuest(disk.Root, _oracle).ReadAsync(0, DiskLength);
        foreach (BlockNode image in disk.Chain.Where(ImageChecker.CanCheck))
        {
            ImageCheckReport report = await ImageChecker.CheckAsync(image);
            Assert.True(report.Corruptions == 0, $"{image.NodeName}: {string.Join(Environment.NewLine, report.Findings)}");
        }
    }

    // Guests rest between requests, so that some come at every stage of the users' work.
    private async Task RunGuestAsync(OracleGuest guest, SeededRandom random)
    {
        for (int i = 0; i < RequestsPerGuest; i++)
        {
            await guest.RunAsync(random, requests: 1, new GuestProfile { MaxLength = 24 * 1024 });
            await Task.Delay(TimeSpan.FromMilliseconds(random.Next(15)), _scheduler.Time);
        }
    }

    private async Task UseAsync()
    {
        for (int i = 0; i < StepsPerUser; i++)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(_random.Next(10)), _scheduler.Time);
            try
            {
                await StepAsync();
            }
            catch (BlockLayerException refusal) when (refusal.Kind is BlockErrorKind.Conflict or BlockErrorKind.NotFound)
            {
                Count("refused");
            }
        }
    }

    private async Task StepAsync()
    {
        IReadOnlyList<BlockNode> images = _disk.Chain;
        int choice = _random.Next(10);
        if (images.Count < 3 || (choice < 4 && images.Count < LongestChain))
        {
            await PutOverlayAsync();
            return;
        }

        BlockJob job = choice switch
        {
            < 7 => await StartCommitAsync(images),
            < 9 => await StartPullAsync(images),
            _ => await _disk.StartRebaseAsync("/vm/other", new RebaseOptions { BytesPerSecond = NextSpeed() }, new DiskOptions { Format = "raw" }),
        };
        if (_random.Next(3) == 0)
        {
            _scheduler.Spawn("meddler", () => JobMeddler.MeddleAsync(_scheduler, _random, job));
        }

        JobResult result = await job.Completion;
        Assert.True(result.Outcome != JobOutcome.Failed, result.Error?.ToString());
        Count($"{job.Kind} {result.Outcome}");
        if (result.Outcome == JobOutcome.Completed)
        {
            Assert.All(result.Files.Unneeded.Concat(result.Files.Invalid), file => Assert.DoesNotContain(file, _disk.Chain.Select(static image => image.Path)));
        }
    }

    private async Task PutOverlayAsync()
    {
        string[] kind = s_formats[_random.Next(s_formats.Length)].Split(' ');
        var options = new OverlayOptions { Format = kind[0], CreateOptions = new Dictionary<string, string> { ["cluster_size"] = kind[1] } };
        await _disk.SwitchAsync($"/vm/overlay{_overlays++}", options);
        Count("snapshot");
    }

    private async ValueTask<BlockJob> StartCommitAsync(IReadOnlyList<BlockNode> images)
    {
        int top = 1 + _random.Next(images.Count - 2);
        var options = new CommitOptions { TopName = images[top].Path, BaseName = images[top + 1 + _random.Next(images.Count - top - 1)].Path, BytesPerSecond = NextSpeed() };
        return await _disk.StartCommitAsync(options);
    }

    private async ValueTask<BlockJob> StartPullAsync(IReadOnlyList<BlockNode> images)
    {
        int top = _random.Next(images.Count - 1);
        int bottom = top + _random.Next(images.Count - 1 - top); // the lowest image is raw and stays
        return await _disk.StartPullAsync(new StreamOptions { TopName = images[top].Path, Bottom = images[bottom], BytesPerSecond = NextSpeed() });
    }

    private long NextSpeed() => _random.Next(2) == 0 ? 8 * 1024 * 1024 : 0;

    private void Count(string what) => Done[what] = Done.GetValueOrDefault(what) + 1;
}
