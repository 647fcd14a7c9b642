using BlockLayer.Errors;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Primitives;
using BlockLayer.Simulation;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Jobs;

/// <summary>Jobs on files at the edges of what they are made for: odd lengths, windows, files that fail when they are let go.</summary>
public class JobEdgeTests
{
    private const int Length = 1 << 20;
    private const int Cluster = 64 << 10;

    private readonly SimulatedMachine _machine = new();

    [Fact]
    public void A_source_that_cannot_be_closed_does_not_make_a_failure_of_a_disk_that_went_over()
        => _machine.Run(async () =>
        {
            await using Disk disk = await _machine.CreateAsync("/disk", Length);
            await disk.WriteAsync(0, SectorStamp.Of(0, Cluster, 1)); // its tables are still to be written
            MirrorJob job = await disk.StartMirrorAsync("/copy", create: new NewImage { Format = "raw" });
            await job.WhenReadyAsync();
            _machine.Storage.Faults.Add(new FaultRule { Operations = StorageOperations.Write | StorageOperations.Flush, Path = "/disk" });
            job.Complete();
            JobResult result = await job.Completion;
            Assert.True(job.HasSwitched);
            Assert.Equal(JobOutcome.Completed, result.Outcome);
            Assert.Contains("Injected fault", result.Error?.Message, StringComparison.Ordinal); // and yet it is told
            Assert.Equal(["/copy"], result.Files.Needed);
            await disk.WriteAsync(0, SectorStamp.Of(0, 512, 2));
            await disk.FlushAsync();
        });

    [Fact]
    public void A_new_overlay_gets_whole_clusters_however_small_the_granularity()
        => _machine.Run(async () =>
        {
            await using Disk disk = await _machine.CreateAsync("/disk", Length);
            await disk.WriteAsync(0, SectorStamp.Of(0, Length, 1));
            MirrorJob job = await disk.StartMirrorAsync(
                "/copy", new MirrorJobOptions { Scope = MirrorScope.None, Granularity = 4096 }, new NewImage { Format = "qcow2" });
            await disk.WriteAsync(Cluster + 8192, SectorStamp.Of(Cluster + 8192, 512, 2));
            byte[] expected = await ReadAsync(disk);
            await job.CompleteWhenReadyAsync();
            Assert.Equal(expected, await ReadAsync(disk));
        });

    [Fact]
    public void A_window_of_a_file_is_not_recorded_as_the_file()
        => _machine.Run(async () =>
        {
            await (await _machine.CreateAsync("/file", 2 * Length, format: "raw")).DisposeAsync();
            var window = _machine.As("raw") with { FormatOptions = new Dictionary<string, string> { ["offset"] = "64k" } };
            await using (Disk disk = await Disk.OpenAsync("/file", window))
            {
                await disk.WriteAsync(0, SectorStamp.Of(0, 512, 1));
                BlockLayerException refusal = await Assert.ThrowsAsync<BlockLayerException>(() => disk.SwitchAsync("/overlay").AsTask());
                Assert.Equal(BlockErrorKind.Unsupported, refusal.Kind);
            }

            await using Disk top = await _machine.CreateAsync("/top", Length);
            BlockLayerException rebase = await Assert.ThrowsAsync<BlockLayerException>(() => top.StartRebaseAsync("/file", backingOptions: window).AsTask());
            Assert.Equal(BlockErrorKind.Unsupported, rebase.Kind);
        });

    [Theory]
    [InlineData("commit")]
    [InlineData("cancel")]
    public void What_is_committed_shows_in_the_bitmaps_of_the_base(string how)
        => _machine.Run(async () =>
        {
            await using (Disk lowest = await _machine.CreateAsync("/base", Length))
            {
                await lowest.AddBitmapAsync("dirty");
            }

            await using (Disk disk = await _machine.CreateAsync("/disk", Length, "/base"))
            {
                await disk.WriteAsync(3 * Cluster, SectorStamp.Of(3 * Cluster, Cluster, 1));
                ActiveCommitJob job = await disk.StartCommitAsync();
                await job.WhenReadyAsync();
                if (how == "commit")
                {
                    job.Complete();
                }
                else
                {
                    job.Cancel(force: true);
                }

                await job.Completion;
                if (how == "commit")
                {
                    await disk.WriteAsync(5 * Cluster, SectorStamp.Of(5 * Cluster, Cluster, 2));
                }
            }

            await using Disk again = await Disk.OpenAsync("/base", _machine.As("qcow2"));
            var dirty = new List<ByteRange>();
            await foreach (ByteRange range in again.ReadBitmapAsync("dirty"))
            {
                dirty.Add(range);
            }

            Assert.Equal(how == "commit" ? [new(3 * Cluster, Cluster), new(5 * Cluster, Cluster)] : [new ByteRange(3 * Cluster, Cluster)], dirty);
        });

    [Theory]
    [InlineData(0)]
    [InlineData(512)]
    [InlineData(Length + 512)]
    public void Every_job_takes_a_disk_of_an_odd_length(int length)
        => _machine.Run(async () =>
        {
            await using (Disk lowest = await _machine.CreateAsync("/a", length))
            {
                await lowest.WriteAsync(0, SectorStamp.Of(0, length, 1));
            }

            await (await _machine.CreateAsync("/b", length, "/a")).DisposeAsync();
            await (await _machine.CreateAsync("/backup", length)).DisposeAsync();
            await using Disk disk = await _machine.CreateAsync("/c", length, "/b");
            if (length > 0)
            {
                await disk.WriteAsync(length - 512, SectorStamp.Of(length - 512, 512, 2));
            }

            byte[] expected = await ReadAsync(disk);
            await EndAsync(await disk.StartBackupAsync("/backup", targetOptions: _machine.As("qcow2")));
            await EndAsync(await disk.StartCommitAsync(new CommitOptions { Top = disk.Chain[1] }));
            await EndAsync(await disk.StartRebaseAsync(null));
            await disk.SwitchAsync("/d");
            await EndAsync(await disk.StartPullAsync());
            await disk.SwitchAsync("/e");
            Assert.Equal(expected, await ReadAsync(disk));
            await (await disk.StartCommitAsync(new ActiveCommitOptions { CopyMode = MirrorCopyMode.WriteBlocking })).CompleteWhenReadyAsync();
            await (await disk.StartMirrorAsync("/f", create: new NewImage { Format = "qcow2" })).CompleteWhenReadyAsync();
            await (await disk.StartMirrorAsync("/g", new MirrorJobOptions { Scope = MirrorScope.None }, new NewImage { Format = "qcow2" })).CompleteWhenReadyAsync();
            Assert.Equal(["/g", "/f"], disk.Chain.Select(static image => image.Path));
            Assert.Equal(expected, await ReadAsync(disk));
            await using Disk backup = await Disk.OpenAsync("/backup", _machine.As("qcow2"));
            Assert.Equal(expected, await ReadAsync(backup));
        });

    [Fact]
    public void A_disk_that_is_disposed_while_a_job_is_being_started_leaves_no_job_behind()
        => _machine.Run(async () =>
        {
            await using (Disk lowest = await _machine.CreateAsync("/a", Length))
            {
                await lowest.WriteAsync(0, SectorStamp.Of(0, Length, 1));
            }

            Disk disk = await _machine.CreateAsync("/b", Length, "/a");
            await disk.WriteAsync(0, SectorStamp.Of(0, Length, 2));
            Task<ActiveCommitJob> start = disk.StartCommitAsync(new ActiveCommitOptions { BytesPerSecond = 1 }).AsTask();
            Assert.False(start.IsCompleted);
            await disk.DisposeAsync();
            await (await Disk.OpenAsync("/b", _machine.As("qcow2"))).DisposeAsync(); // nobody holds them
            await (await Disk.OpenAsync("/a", _machine.As("qcow2"))).DisposeAsync();
            await Assert.ThrowsAsync<ObjectDisposedException>(() => disk.StartPullAsync().AsTask());
            Assert.Equal(JobOutcome.Cancelled, (await (await start).Completion).Outcome);
        });

    private static async Task EndAsync(BlockJob job)
    {
        JobResult result = await job.Completion;
        Assert.True(result.Outcome == JobOutcome.Completed, $"{job}: {result.Error}");
    }

    private static async Task<byte[]> ReadAsync(Disk disk)
    {
        byte[] all = new byte[disk.Length];
        await disk.ReadAsync(0, all);
        return all;
    }
}
