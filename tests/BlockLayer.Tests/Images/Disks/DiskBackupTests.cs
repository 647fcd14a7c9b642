using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Primitives;
using BlockLayer.Simulation;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Images;

/// <summary>Backups of qcow2 disks with bitmaps: what the bitmap shows after each end.</summary>
public sealed class DiskBackupTests
{
    private const int Length = 4 << 20;
    private const int Unit = 64 << 10;

    private readonly MemoryWorld _world = new();

    [Theory]
    [InlineData(BitmapUpdate.OnSuccess, JobOutcome.Completed, "7")]
    [InlineData(BitmapUpdate.Never, JobOutcome.Completed, "1 3 7")]
    [InlineData(BitmapUpdate.Always, JobOutcome.Completed, "7")]
    [InlineData(BitmapUpdate.OnSuccess, JobOutcome.Cancelled, "1 3 7")]
    [InlineData(BitmapUpdate.Never, JobOutcome.Cancelled, "1 3 7")]
    [InlineData(BitmapUpdate.Always, JobOutcome.Cancelled, "3 7")]
    public void An_incremental_backup_leaves_in_its_bitmap_what_the_next_one_needs(BitmapUpdate update, JobOutcome outcome, string left)
    {
        var machine = new SimulatedMachine();
        machine.Run(async () =>
        {
            await (await machine.CreateAsync("/backup", Length, format: "raw")).DisposeAsync();
            await using Disk disk = await machine.CreateAsync("/disk", Length);
            await disk.AddBitmapAsync("dirty", new NewBitmap { Granularity = Unit });
            await WriteAsync(disk, 1, 3);
            BlockNode target = await new ImageOpener(BuiltInFormats.All, machine.Environment).OpenAsync("/backup", new ImageOpenOptions { Format = "raw", Access = NodeAccess.ReadWrite });
            var job = new BackupJob(disk.Root, target, new BackupOptions { Sync = BackupSync.Incremental, Bitmap = "dirty", BitmapUpdate = update });
            JobBreakpoint beforeItsFirstStep = JobBreakpoint.After(job, 0);
            await job.StartAsync();
            await beforeItsFirstStep.ReachedAsync();
            await WriteAsync(disk, 1, 7); // saves unit 1 first
            if (outcome == JobOutcome.Cancelled)
            {
                job.Pause();
                job.Cancel();
            }

            beforeItsFirstStep.Continue();
            JobResult result = await job.Completion;
            Assert.Equal((outcome, null), (result.Outcome, result.Error));
            string[] expected = [.. left.Split(' '), .. left == "7" || left == "3 7" ? new[] { "1" } : []]; // written again since
            Assert.Equal(expected.Order(StringComparer.Ordinal), await UnitsAsync(disk));
        });
    }

    [Fact]
    public void A_guest_whose_write_breaks_a_backup_that_is_being_cancelled_takes_nothing_out_of_its_bitmap()
    {
        var machine = new SimulatedMachine();
        machine.Run(async () =>
        {
            await (await machine.CreateAsync("/backup", Length, format: "raw")).DisposeAsync();
            await using Disk disk = await machine.CreateAsync("/disk", Length);
            await disk.AddBitmapAsync("dirty", new NewBitmap { Granularity = Unit });
            await WriteAsync(disk, 1, 3, 6);
            BlockNode target = await new ImageOpener(BuiltInFormats.All, machine.Environment).OpenAsync("/backup", new ImageOpenOptions { Format = "raw", Access = NodeAccess.ReadWrite });
            var options = new BackupOptions
            {
                Sync = BackupSync.Incremental,
                Bitmap = "dirty",
                BitmapUpdate = BitmapUpdate.Always,
                OnCopyBeforeWriteError = CopyBeforeWritePolicy.BreakSnapshot,
            };
            var job = new BackupJob(disk.Root, target, options);
            JobBreakpoint afterItsFirstStep = JobBreakpoint.After(job, Unit);
            await job.StartAsync();
            await afterItsFirstStep.ReachedAsync(); // unit 1 is saved
            StorageBreakpoint flush = machine.Storage.Faults.Break(new FaultRule { Operations = StorageOperations.Flush, Path = "/backup" });
            job.Cancel();
            afterItsFirstStep.Continue();
            await flush.ReachedAsync();
            machine.Storage.Faults.Add(new FaultRule { Operations = StorageOperations.Write, Path = "/backup" });
            Task write = WriteAsync(disk, 3);
            await machine.PassAsync(TimeSpan.FromSeconds(1));
            flush.Continue();
            await write;
            Assert.Equal(JobOutcome.Cancelled, (await job.Completion).Outcome);
            Assert.Equal(["1", "3", "6"], await UnitsAsync(disk)); // the target is void
        });
    }

    [Fact]
    public async Task A_bitmap_cannot_be_changed_while_a_backup_uses_it_and_can_afterwards()
    {
        await using Disk disk = await CreateAsync();
        await WriteAsync(disk, [.. Enumerable.Range(0, 40)]);
        BackupJob job = await disk.StartBackupAsync(
            "/backup",
            new BackupOptions { Sync = BackupSync.Incremental, Bitmap = "dirty", BytesPerSecond = 1 },
            _world.As("raw"));
        BlockLayerException refusal = await Assert.ThrowsAsync<BlockLayerException>(async () => await disk.RemoveBitmapAsync("dirty"));
        Assert.Equal((BlockErrorKind.Conflict, "Bitmap 'dirty' of '/disk' cannot change: job 'backup' (backup) uses it."), (refusal.Kind, refusal.Message));
        job.Cancel();
        await job.Completion;
        await disk.RemoveBitmapAsync("dirty");
        Assert.Empty(disk.Bitmaps);
    }

    [Fact]
    public async Task Full_and_incremental_backups_hold_the_disk()
    {
        await using Disk disk = await CreateAsync();
        await WriteAsync(disk, 0, 1, 2);
        BackupJob full = await disk.StartBackupAsync("/backup", targetOptions: _world.As("raw"));
        Assert.Equal(JobOutcome.Completed, (await full.Completion).Outcome);
        await disk.WriteAsync(5 * Unit, Pattern.Of(5 * Unit, 3 * Unit, writer: 8));
        BackupJob incremental = await disk.StartBackupAsync("/backup", new BackupOptions { Sync = BackupSync.Incremental, Bitmap = "dirty" }, _world.As("raw"));
        Assert.Equal(JobOutcome.Completed, (await incremental.Completion).Outcome);
        await using Disk backup = await Disk.OpenAsync("/backup", _world.As("raw"));
        CompareResult compared = await ImageComparer.CompareAsync(disk.Root, backup.Root);
        Assert.Equal(CompareOutcome.Identical, compared.Outcome);
    }

    [Fact]
    public async Task A_backup_that_is_refused_lets_its_target_go()
    {
        await using Disk disk = await CreateAsync();
        BlockLayerException refusal = await Assert.ThrowsAsync<BlockLayerException>(
            async () => await disk.StartBackupAsync("/backup", new BackupOptions { Sync = BackupSync.Incremental, Bitmap = "none" }, _world.As("raw")));
        Assert.Equal(BlockErrorKind.NotFound, refusal.Kind);
        await using Disk backup = await Disk.OpenAsync("/backup", _world.As("raw"));
        Assert.Equal(Length, backup.Length);
    }

    private async Task<Disk> CreateAsync()
    {
        await (await _world.CreateRawAsync("/backup", Length)).DisposeAsync();
        Disk disk = await _world.CreateAsync("/disk", "qcow2", Length);
        await disk.AddBitmapAsync("dirty", new NewBitmap { Granularity = Unit });
        return disk;
    }

    private static async Task WriteAsync(Disk disk, params int[] units)
    {
        foreach (int unit in units)
        {
            await disk.WriteAsync(unit * (long)Unit, Pattern.Of(unit * (long)Unit, 512, writer: 3));
        }
    }

    private static async Task<List<string>> UnitsAsync(Disk disk)
    {
        var units = new List<string>();
        await foreach (ByteRange range in disk.ReadBitmapAsync("dirty"))
        {
            for (long at = range.Offset; at < range.End; at += Unit)
            {
                units.Add($"{at / Unit}");
            }
        }

        return units;
    }
}
