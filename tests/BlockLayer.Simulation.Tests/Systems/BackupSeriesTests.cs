using BlockLayer.Errors;
using BlockLayer.Images;
using BlockLayer.Jobs;
using Xunit;

namespace BlockLayer.Simulation.Tests.Systems;

/// <summary>The backups of a simulated disk that follow each other.</summary>
public sealed class BackupSeriesTests
{
    // Seen by seed 500999 with four operators of four jobs, as it then was: the series took the old file for one of the new length.
    [Fact]
    public void A_full_backup_that_is_refused_after_the_disk_has_grown_is_tried_again()
    {
        int disks = 0;
        for (ulong seed = 1; seed <= 10; seed++)
        {
            Alone(seed, async disk =>
            {
                OperatorTask? first;
                try
                {
                    first = await disk.Backups.StartAsync(new BackupOptions());
                }
                catch (BlockLayerException refused) when (refused.Kind == BlockErrorKind.Unsupported)
                {
                    return; // the image of this seed stores no bitmaps
                }

                disks++;
                await CompletesAsync(first);
                Assert.True(await disk.TryGrowAsync(disk.Disk.Length + 4096));
                MirrorJob other = await disk.Disk.StartMirrorAsync("/copy", create: new NewImage { Format = "raw" }, targetOptions: disk.As("raw"));
                BlockLayerException refusal = await Assert.ThrowsAsync<BlockLayerException>(() => disk.Backups.StartAsync(new BackupOptions()).AsTask());
                Assert.Equal(BlockErrorKind.Conflict, refusal.Kind);
                Assert.True(other.TryCancel(force: true));
                await other.Completion;

                await CompletesAsync(await disk.Backups.StartAsync(new BackupOptions()));
            });
        }

        Assert.NotEqual(0, disks);
    }

    // What an operator would do, and nobody else.
    private static void Alone(ulong seed, Func<SystemDisk, Task> act)
        => SystemRun.Run(seed, new SystemOptions
        {
            MaxDisks = 1,
            Guests = 0,
            Operators = 0,
            CrashPoints = 0,
            Faults = false,
            Sabotage = run => run.Machine.Scheduler.Spawn("operator", () => act(run.Disks[0])),
        });

    private static async Task CompletesAsync(OperatorTask? backup)
    {
        Assert.NotNull(backup);
        Assert.Equal(JobOutcome.Completed, (await Assert.Single(backup.Jobs).Completion).Outcome);
        await backup.Verify!();
        backup.Ended!(true);
    }
}
