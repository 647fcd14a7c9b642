using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Simulation;
using Xunit;

namespace BlockLayer.Tests.Jobs;

/// <summary>What is told, named and left behind when a job or a snapshot is over, or came to nothing.</summary>
public class JobAftermathTests
{
    private const long Length = 1 << 20;

    private readonly SimulatedMachine _machine = new();

    [Fact]
    public void The_files_of_a_job_are_also_those_that_images_keep_their_data_in()
        => _machine.Run(async () =>
        {
            await (await Disk.CreateAsync("/base", WithDataFile("base.data"), _machine.As("qcow2"))).DisposeAsync();
            NewImage image = WithDataFile("disk.data") with { Backing = new BackingReference("/base", "qcow2") };
            await using Disk disk = await Disk.CreateAsync("/disk", image, _machine.As("qcow2"));
            JobResult result = await (await disk.StartPullAsync()).Completion;
            Assert.Equal(JobOutcome.Completed, result.Outcome);
            Assert.Equal(["/disk", "/disk.data"], result.Files.Needed);
            Assert.Equal(["/base", "/base.data"], result.Files.Unneeded);
            Assert.EndsWith(
                "Files = JobFiles { Needed = [/disk, /disk.data], Unneeded = [/base, /base.data], Changed = [], Invalid = [] } }", result.ToString(), StringComparison.Ordinal);
        });

    [Fact]
    public void A_snapshot_during_a_commit_is_among_the_files_that_are_needed_and_the_disk_is_called_after_it()
        => _machine.Run(async () =>
        {
            await (await _machine.CreateAsync("/a", Length)).DisposeAsync();
            await (await _machine.CreateAsync("/b", Length, "/a")).DisposeAsync();
            await using Disk disk = await _machine.CreateAsync("/c", Length, "/b");
            CommitJob job = await disk.StartCommitAsync(new CommitOptions { Top = disk.Chain[1], AutoFinalize = false });
            while (job.State != JobState.Pending)
            {
                await _machine.PassAsync(TimeSpan.FromMilliseconds(1));
            }

            await disk.SwitchAsync("/d", new OverlayOptions { CreateOptions = new Dictionary<string, string> { ["cluster_size"] = "4096" } });
            Assert.Equal(("/d", 4096), (disk.Root.NodeName, disk.Root.Limits.ClusterSize));
            job.FinalizeJob();
            Assert.Equal(["/d", "/c", "/a"], (await job.Completion).Files.Needed);
        });

    [Fact]
    public void A_bitmap_whose_turn_comes_behind_a_snapshot_meets_a_conflict()
        => _machine.Run(async () =>
        {
            await using Disk disk = await _machine.CreateAsync("/disk", Length);
            Task? bitmap = null;
            await DiskSnapshot.TakeAsync([new DiskOverlay(disk, "/overlay")], _ =>
            {
                bitmap = disk.AddBitmapAsync("b", cancellationToken: CancellationToken.None).AsTask(); // waits for the snapshot to end
                return ValueTask.CompletedTask;
            });
            BlockLayerException refusal = await Assert.ThrowsAsync<BlockLayerException>(() => bitmap!);
            Assert.Equal(BlockErrorKind.Conflict, refusal.Kind);
            await disk.AddBitmapAsync("b");
            Assert.Single(disk.Bitmaps);
        });

    [Fact]
    public void What_was_created_for_a_copy_or_a_snapshot_that_comes_to_nothing_is_removed_with_its_data_file()
        => _machine.Run(async () =>
        {
            await using Disk disk = await _machine.CreateAsync("/disk", Length);
            await Assert.ThrowsAsync<ArgumentException>(
                () => disk.StartMirrorAsync("/copy", new MirrorJobOptions { Granularity = 3 }, WithDataFile("copy.data"), _machine.As("qcow2")).AsTask());
            var overlay = new DiskOverlay(disk, "/overlay", new OverlayOptions { CreateOptions = WithDataFile("overlay.data").Options });
            await Assert.ThrowsAsync<InvalidDataException>(async () => await DiskSnapshot.TakeAsync([overlay], _ => throw new InvalidDataException()));
            Assert.All(["/copy", "/copy.data", "/overlay", "/overlay.data"], path => Assert.Null(_machine.Storage.GetInfo(path)));
        });

    // Whichever write or flush of the filled image fails: the job has failed if the disk reads its old chain, and completed if it reads the new one.
    [Fact]
    public void A_pull_that_has_switched_has_completed_whatever_fails_behind_it()
    {
        for (int skip = 0, hits = 1; hits > 0; skip++)
        {
            var machine = new SimulatedMachine();
            machine.Run(async () =>
            {
                await (await machine.CreateAsync("/a", Length, format: "qed")).DisposeAsync();
                await using (Disk below = await machine.CreateAsync("/b", Length, "/a", "qed"))
                {
                    await below.WriteAsync(0, new byte[4096]);
                }

                Disk disk = await machine.CreateAsync("/c", Length, "/b", "qed");
                var fault = new FaultRule { Operations = StorageOperations.Write | StorageOperations.Flush, Path = "/b", Skip = skip, Count = 1 };
                machine.Storage.Faults.Add(fault);
                JobResult? result = null;
                try
                {
                    result = await (await disk.StartPullAsync(new StreamOptions { Top = disk.Chain[1] })).Completion;
                }
                catch (BlockLayerException)
                {
                    // It could not be made writable.
                }

                hits = (int)machine.Storage.Faults.CountHits(fault);
                Assert.Equal(result?.Outcome == JobOutcome.Completed ? 2 : 3, disk.Chain.Count);
                Assert.Equal(hits == 0, result is { Error: null });
                machine.Storage.Faults.Clear();
                await CloseAsync(disk);
            });
        }
    }

    private static NewImage WithDataFile(string name)
        => new() { Format = "qcow2", Length = Length, Options = new Dictionary<string, string> { ["data_file"] = name } };

    // A flush that failed is final for its file.
    private static async Task CloseAsync(Disk disk)
    {
        try
        {
            await disk.DisposeAsync();
        }
        catch (BlockLayerException error)
        {
            Assert.Equal(BlockErrorKind.Io, error.Kind);
        }
    }
}
