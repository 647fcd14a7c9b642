using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Primitives;
using BlockLayer.Requests;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Simulation.Tests.Jobs;

/// <summary>
/// One seeded run: guests overwrite their sectors with ever higher numbers, one number at a time on every disk in turn, while backups are taken. A sector of a
/// backup lies between the last number that was acknowledged before the start and the last that was begun by its end.
/// </summary>
internal sealed class BackupWorld
{
    private const int Length = 1 << 20;
    private const int Sectors = Length / SectorStamp.Size;
    private const int GuestCount = 3;
    private const int Writes = 40;

    private readonly SimulationScheduler _scheduler;
    private readonly SeededRandom _random;
    private readonly BlockEnvironment _environment;
    private readonly int _disks;
    private readonly int[,] _begun;        // by disk and sector: the last number that a guest began to write
    private readonly int[,] _acknowledged; // and the last that he was told of
    private readonly List<Disk> _open = [];
    private int _number;

    internal BackupWorld(SimulationScheduler scheduler, int disks)
    {
        _scheduler = scheduler;
        _random = scheduler.CreateRandom(3);
        var storage = new SimulatedStorageProvider(scheduler, new SimulatedStorageOptions { Seed = scheduler.Seed });
        _environment = SimulatedEnvironment.Of(scheduler, storage) with { Buffers = new BufferPool() }; // counted, and not those of tests beside this one
        _disks = disks;
        _begun = new int[disks, Sectors];
        _acknowledged = new int[disks, Sectors];
    }

    /// <summary>Breaks the backup on purpose: what guests are about to overwrite counts as saved.</summary>
    internal bool IsBroken { get; init; }

    private DiskOptions As(string format) => new() { Format = format, Environment = _environment };

    internal void Run(BackupSync sync)
    {
        _scheduler.Run(CreateAsync);
        for (int guest = 0; guest < GuestCount; guest++)
        {
            int number = guest;
            _scheduler.Spawn("guest", () => WriteAsync(number));
        }

        _scheduler.Spawn("backups", () => BackUpAsync(sync));
        _scheduler.Run();
        _scheduler.Run(CloseAsync);
        Assert.Equal(0, _environment.Buffers.Outstanding);
    }

    private async Task CreateAsync()
    {
        for (int disk = 0; disk < _disks; disk++)
        {
            Disk created = await Disk.CreateAsync($"/disk{disk}", new NewImage { Format = "qcow2", Length = Length }, As("qcow2"));
            await created.AddBitmapAsync("dirty", new NewBitmap { Granularity = 64 << 10 });
            _open.Add(created);
            await (await Disk.CreateAsync($"/backup{disk}", new NewImage { Format = "raw", Length = Length }, As("raw"))).DisposeAsync();
        }
    }

    // A guest owns every GuestCount-th sector. He writes a number to the same place of every disk, one after the other.
    private async Task WriteAsync(int guest)
    {
        for (int i = 0; i < Writes; i++)
        {
            int sector = (_random.Next(Sectors / GuestCount) * GuestCount) + guest;
            int number = ++_number;
            for (int disk = 0; disk < _disks; disk++)
            {
                _begun[disk, sector] = number;
                await _open[disk].WriteAsync(sector * (long)SectorStamp.Size, SectorStamp.Of(sector * SectorStamp.Size, SectorStamp.Size, number));
                _acknowledged[disk, sector] = number;
            }

            await Task.Delay(TimeSpan.FromMicroseconds(_random.Next(400)), _scheduler.Time);
        }
    }

    private async Task BackUpAsync(BackupSync sync)
    {
        for (int round = 0; round < 3; round++)
        {
            int[,] before = (int[,])_acknowledged.Clone();
            var jobs = new List<BackupJob>();
            for (int disk = 0; disk < _disks; disk++)
            {
                BlockNode target = await new ImageOpener(BuiltInFormats.All, _environment).OpenAsync($"/backup{disk}", new ImageOpenOptions { Format = "raw", Access = NodeAccess.ReadWrite });
                jobs.Add(new BackupJob(_open[disk].Root, target, new BackupOptions
                {
                    Sync = sync,
                    Bitmap = sync == BackupSync.Incremental ? "dirty" : null,
                    BytesPerSecond = _random.Next(2) == 0 ? 0 : 4 << 20,
                }));
            }

            await JobTransaction.StartAsync(jobs);
            int[,] after = (int[,])_begun.Clone();
            if (IsBroken)
            {
                Sabotage(jobs[0]);
            }

            bool cancelled = round == 1 && _random.Next(2) == 0 && jobs[0].TryCancel();
            JobResult[] results = await Task.WhenAll(jobs.Select(job => job.Completion));
            if (results.All(result => result.Outcome == JobOutcome.Completed))
            {
                await CheckAsync(before, after);
            }
            else
            {
                Assert.True(cancelled, results[0].Error?.ToString());
            }

            await Task.Delay(TimeSpan.FromMilliseconds(_random.Next(4)), _scheduler.Time);
        }
    }

    private static void Sabotage(BackupJob job)
    {
        DirtyBitmap unsaved = job.Filter!.Unsaved;
        unsaved.Clear(0, Length / 2);
    }

    private async Task CheckAsync(int[,] before, int[,] after)
    {
        int[][] saved = new int[_disks][];
        for (int disk = 0; disk < _disks; disk++)
        {
            saved[disk] = await ReadAsync($"/backup{disk}");
            for (int sector = 0; sector < Sectors; sector++)
            {
                Assert.True(
                    saved[disk][sector] >= before[disk, sector] && saved[disk][sector] <= after[disk, sector],
                    $"disk {disk}, sector {sector}: {saved[disk][sector]} is not in {before[disk, sector]}..{after[disk, sector]}");
                Assert.True(disk == 0 || saved[disk][sector] <= saved[0][sector], $"sector {sector} of disk {disk} is ahead of disk 0: not one moment");
            }
        }
    }

    private async Task<int[]> ReadAsync(string path)
    {
        await using Disk disk = await Disk.OpenAsync(path, As("raw") with { Access = NodeAccess.ReadOnly });
        byte[] content = new byte[Length];
        await disk.ReadAsync(0, content);
        return [.. Enumerable.Range(0, Sectors).Select(sector => SectorStamp.WriterOf(content.AsSpan(sector * SectorStamp.Size), sector * SectorStamp.Size))];
    }

    private async Task CloseAsync()
    {
        foreach (Disk disk in _open)
        {
            await disk.DisposeAsync();
        }
    }
}
