using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Jobs;
using BlockLayer.Primitives;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Jobs;

/// <summary>A backup under its guests' and its users' hands.</summary>
public class BackupJobTests
{
    private const int Unit = StreamFixture.Unit;
    private const int Units = 16;

    private readonly StreamFixture _disk = new StreamFixture(Units, Unit, Unit).Fill(0, 0, Units).Fill(1, 4, 4);
    private readonly MemoryOverlayNode _target;

    public BackupJobTests()
    {
        _target = new MemoryOverlayNode("target", _disk.Length, Unit, _disk.Environment);
        _target.AddReference(); // the test's own: the job lets it go
    }

    [Fact]
    public void It_saves_what_was_there_when_it_was_started_and_leaves_the_graph_as_it_was()
    {
        _disk.Run(async () =>
        {
            int[] before = await _disk.UnitsAsync();
            BackupJob job = await StartAsync(new BackupOptions { BytesPerSecond = Unit });
            await OverwriteAsync(unit: 5);
            await OverwriteAsync(unit: 12);
            Assert.InRange(job.SavedBytes, 2 * Unit, 5 * Unit);
            job.BytesPerSecond = 0;
            Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
            Assert.Equal(before, await _disk.UnitsAsync(_target));
            Assert.False(_target.IsDirty, "flushed before success was told");
            Assert.Equal(new[] { 1, 1, 1, 1, 2, 9, 2, 2, 1, 1, 1, 1, 9, 1, 1, 1 }, await _disk.UnitsAsync());
        });
        _disk.AssertClean();
    }

    [Fact]
    public void Top_saves_what_the_newest_image_holds()
    {
        _disk.Run(async () =>
        {
            BackupJob job = await StartAsync(new BackupOptions { Sync = BackupSync.Top });
            Assert.Equal((JobOutcome.Completed, new JobProgress(4 * Unit, 4 * Unit)), await EndOf(job));
            Assert.Equal(new[] { 0, 0, 0, 0, 2, 2, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0 }, await _disk.UnitsAsync(_target));
        });
        _disk.AssertClean();
    }

    [Fact]
    public void None_saves_only_what_guests_overwrite_and_ends_when_it_is_cancelled()
    {
        _disk.Run(async () =>
        {
            BackupJob job = await StartAsync(new BackupOptions { Sync = BackupSync.None });
            await OverwriteAsync(unit: 5);
            await _disk.Root.WriteZeroesAsync(6L * Unit, Unit);
            await _disk.Root.DiscardAsync(7L * Unit, 2 * Unit);
            Assert.Equal(new[] { 0, 0, 0, 0, 0, 2, 2, 2, 1, 0, 0, 0, 0, 0, 0, 0 }, await _disk.UnitsAsync(_target));
            Assert.Equal(new[] { 1, 1, 1, 1, 2, 9, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1 }, await _disk.UnitsAsync());
            job.Cancel();
            Assert.Equal(JobOutcome.Cancelled, (await job.Completion).Outcome);
        });
        _disk.AssertClean();
    }

    [Fact]
    public void Where_the_old_content_cannot_be_saved_the_guests_write_fails_or_the_backup()
    {
        foreach (CopyBeforeWritePolicy policy in Enum.GetValues<CopyBeforeWritePolicy>())
        {
            var fixture = new BackupJobTests();
            fixture.FailTarget(unit: 5, BlockErrorKind.NoSpace);
            fixture._disk.Run(async () =>
            {
                BackupJob job = await fixture.StartAsync(new BackupOptions { Sync = BackupSync.None, OnCopyBeforeWriteError = policy });
                Exception? refusal = await Record.ExceptionAsync(() => fixture.OverwriteAsync(unit: 5));
                if (policy == CopyBeforeWritePolicy.BreakGuestWrite)
                {
                    Assert.Equal(BlockErrorKind.NoSpace, Assert.IsType<BlockLayerException>(refusal).Kind);
                    Assert.Equal(2, (await fixture._disk.UnitsAsync())[5]);
                    job.Cancel();
                    Assert.Equal(JobOutcome.Cancelled, (await job.Completion).Outcome);
                }
                else
                {
                    Assert.Null(refusal);
                    Assert.Equal(9, (await fixture._disk.UnitsAsync())[5]);
                    JobResult result = await job.Completion;
                    Assert.Equal(JobOutcome.Failed, result.Outcome);
                    Assert.StartsWith("The content at 327680 that job 'backup' (backup) has to save", result.Error?.Message, StringComparison.Ordinal);
                }
            });
            fixture._disk.AssertClean();
        }
    }

    // QEMU: qapi/block-core.json, cbw-timeout.
    [Theory]
    [InlineData(CopyBeforeWritePolicy.BreakGuestWrite)]
    [InlineData(CopyBeforeWritePolicy.BreakSnapshot)]
    public void A_guest_waits_no_longer_for_its_old_content_than_it_is_told_to_and_the_job_waits_for_what_is_late(CopyBeforeWritePolicy policy)
    {
        var steps = new HeldSteps();
        _target.Steps = steps;
        _disk.Run(async () =>
        {
            BackupJob job = await StartAsync(new BackupOptions { Sync = BackupSync.None, OnCopyBeforeWriteError = policy, CopyBeforeWriteTimeout = TimeSpan.FromSeconds(5) });
            await OverwriteAsync(unit: 4); // in time
            steps.Hold(OverlayStep.Store);
            Task<Exception?> write = Record.ExceptionAsync(() => OverwriteAsync(unit: 5)).AsTask();
            await Task.Delay(TimeSpan.FromSeconds(4.9), _disk.Scheduler.Time);
            Assert.False(write.IsCompleted);
            await Task.Delay(TimeSpan.FromSeconds(0.2), _disk.Scheduler.Time);
            Assert.True(write.IsCompleted);
            bool breaksGuest = policy == CopyBeforeWritePolicy.BreakGuestWrite;
            Assert.Equal(breaksGuest, await write is BlockLayerException { Kind: BlockErrorKind.Io });
            job.TryCancel();
            await Task.Delay(TimeSpan.FromHours(1), _disk.Scheduler.Time);
            Assert.False(job.Completion.IsCompleted);
            steps.Release(OverlayStep.Store);
            JobResult result = await job.Completion;
            Assert.Equal(breaksGuest ? JobOutcome.Cancelled : JobOutcome.Failed, result.Outcome);
            Assert.Equal(
                "The content at 327680 that job 'backup' (backup) has to save before it is overwritten could not be saved in time: it takes longer than 5 seconds.",
                (await write ?? result.Error)?.Message);
            Assert.Equal(breaksGuest ? 2 : 9, (await _disk.UnitsAsync())[5]);
            Assert.Equal((2, 2), ((await _disk.UnitsAsync(_target))[4], (await _disk.UnitsAsync(_target))[5]));
        });
        _disk.AssertClean();
    }

    [Fact]
    public void A_guest_that_gives_up_does_not_wait_for_its_old_content_where_there_is_a_limit()
    {
        var steps = new HeldSteps();
        _target.Steps = steps;
        _disk.Run(async () =>
        {
            BackupJob job = await StartAsync(new BackupOptions { Sync = BackupSync.None, CopyBeforeWriteTimeout = TimeSpan.FromSeconds(5) });
            steps.Hold(OverlayStep.Store);
            using var impatience = new CancellationTokenSource();
            Task write = _disk.Root.WriteAsync(5L * Unit, SectorStamp.Of(5L * Unit, Unit, 9), WriteFlags.None, impatience.Token).AsTask();
            impatience.Cancel();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => write);
            steps.Release(OverlayStep.Store);
            await OverwriteAsync(unit: 5);
            Assert.Equal(2, (await _disk.UnitsAsync(_target))[5]);
            job.Cancel();
            await job.Completion;
        });
        _disk.AssertClean();
    }

    [Theory]
    [InlineData(JobErrorPolicy.Report, JobErrorAction.Report)]
    [InlineData(JobErrorPolicy.Ignore, JobErrorAction.Ignore)]
    [InlineData(JobErrorPolicy.Stop, JobErrorAction.Stop)]
    [InlineData(JobErrorPolicy.StopOnNoSpace, JobErrorAction.Stop)]
    public void A_target_that_is_full_is_met_as_its_policy_says(JobErrorPolicy policy, JobErrorAction action)
    {
        FailTarget(unit: 5, BlockErrorKind.NoSpace);
        _disk.Run(async () =>
        {
            BackupJob job = await StartAsync(new BackupOptions { OnTargetError = policy });
            await Task.Delay(TimeSpan.FromSeconds(1), _disk.Scheduler.Time);
            Assert.Equal((CopyStep.Write, action), _disk.Events.OfType<JobErrorOccurred>().Select(error => (error.Step, error.Action)).Distinct().Single());
            if (action == JobErrorAction.Stop)
            {
                Assert.Equal((JobState.Paused, JobIoStatus.NoSpace), (job.State, job.GetInfo().IoStatus));
                _target.Steps = OverlaySteps.None;
                job.Resume();
                Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
                Assert.Equal(await _disk.UnitsAsync(), await _disk.UnitsAsync(_target));
            }
            else
            {
                Assert.Equal(JobOutcome.Failed, (await job.Completion).Outcome);
                int saved = (await _disk.UnitsAsync(_target)).Count(writer => writer != 0);
                Assert.InRange(saved, action == JobErrorAction.Ignore ? Units - 1 : 5, Units - 1);
            }
        });
        _disk.AssertClean();
    }

    [Fact]
    public void A_backup_is_refused_where_it_would_save_nothing_or_too_much()
    {
        _disk.Run(async () =>
        {
            await RefusedAsync(_disk.Top, new BackupOptions(), BlockErrorKind.Conflict, "'image1' is part of the disk and cannot take its backup.");
            await RefusedAsync(Target(_disk.Length + 512), new BackupOptions(), BlockErrorKind.OutOfRange, "they have to be of the same length.");
            await RefusedAsync(Target(_disk.Length, NodeAccess.ReadOnly), new BackupOptions(), BlockErrorKind.ReadOnly, "is open read-only and cannot take a backup.");
            await RefusedAsync(_target, new BackupOptions { Sync = BackupSync.Incremental, Bitmap = "dirty" }, BlockErrorKind.Unsupported, "stores no bitmaps; qcow2 does.");
            await MisusedAsync(
                new BackupOptions { Bitmap = "dirty" }, "The bitmap 'dirty' is named, but only an incremental backup takes one, and this one is Full.");
            await MisusedAsync(
                new BackupOptions { Sync = BackupSync.Incremental }, "An incremental backup needs a bitmap, which says what is to be saved; none is named.");
            foreach (int days in new[] { -1, 50 })
            {
                await Assert.ThrowsAsync<ArgumentException>(
                    async () => await new BackupJob(_disk.Root, _target, new BackupOptions { CopyBeforeWriteTimeout = TimeSpan.FromDays(days) }).StartAsync());
            }

            BackupJob running = await StartAsync(new BackupOptions { BytesPerSecond = 1 });
            await RefusedAsync(Target(_disk.Length), new BackupOptions(), BlockErrorKind.Conflict, "which job 'backup' (backup) is working on.");
            BlockLayerException resize = await Assert.ThrowsAsync<BlockLayerException>(async () => await _disk.Root.ResizeAsync(_disk.Length * 2));
            Assert.Equal(BlockErrorKind.Conflict, resize.Kind);
            running.Cancel();
            await running.Completion;
        });
        _disk.AssertClean();

        MemoryOverlayNode Target(long length, NodeAccess access = NodeAccess.ReadWrite) => new("other", length, Unit, _disk.Environment, access: access);

        async Task MisusedAsync(BackupOptions options, string message)
            => Assert.Equal(message, (await Assert.ThrowsAsync<ArgumentException>(async () => await new BackupJob(_disk.Root, _target, options).StartAsync())).Message);

        async Task RefusedAsync(BlockNode target, BackupOptions options, BlockErrorKind kind, string end)
        {
            BlockLayerException refusal = await Assert.ThrowsAsync<BlockLayerException>(async () => await new BackupJob(_disk.Root, target, options).StartAsync());
            Assert.Equal(kind, refusal.Kind);
            Assert.EndsWith(end, refusal.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_backup_that_is_refused_for_its_target_leaves_nothing_on_the_disk()
    {
        _disk.Run(async () =>
        {
            _target.AddReference();
            await using (var other = new RootNode(_target))
            {
                BlockLayerException refusal = await Assert.ThrowsAsync<BlockLayerException>(async () => await StartAsync(new BackupOptions()));
                Assert.Equal(BlockErrorKind.Conflict, refusal.Kind);
            }

            Assert.Equal([_disk.Root], _disk.Top.Parents.Select(static edge => edge.Parent));
            Assert.Equal(JobOutcome.Completed, (await (await StartAsync(new BackupOptions())).Completion).Outcome);
            await OverwriteAsync(unit: 5); // the next job has not taken the image away with it
        });
        _disk.AssertClean();
    }

    [Fact]
    public void What_was_saved_is_told_when_the_job_is_over_too()
    {
        _disk.Run(async () =>
        {
            BackupJob job = await StartAsync(new BackupOptions { Sync = BackupSync.Top });
            await job.Completion;
            Assert.Equal(4 * Unit, job.SavedBytes);
        });
    }

    [Fact]
    public void A_drain_of_the_disk_keeps_the_job_out_too()
    {
        _disk.Run(async () =>
        {
            BackupJob job = await StartAsync(new BackupOptions { BytesPerSecond = Unit });
            using (await GraphChange.BeginAsync(_disk.Top, CancellationToken.None))
            {
                long saved = job.SavedBytes;
                await Task.Delay(TimeSpan.FromSeconds(4), _disk.Scheduler.Time);
                Assert.Equal(saved, job.SavedBytes);
            }

            job.BytesPerSecond = 0;
            Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
        });
        _disk.AssertClean();
    }

    private async Task<BackupJob> StartAsync(BackupOptions options)
    {
        var job = new BackupJob(_disk.Root, _target, options);
        job.Notified += (_, what) => _disk.Events.Add(what);
        await job.StartAsync();
        return job;
    }

    private static async Task<(JobOutcome Outcome, JobProgress Progress)> EndOf(BackupJob job)
    {
        JobResult result = await job.Completion;
        return (result.Outcome, result.Progress);
    }

    private async Task OverwriteAsync(int unit) => await _disk.Root.WriteAsync(unit * (long)Unit, SectorStamp.Of(unit * (long)Unit, Unit, 9));

    private void FailTarget(int unit, BlockErrorKind kind)
    {
        var steps = new HeldSteps();
        steps.FailWhen((step, range) => step == OverlayStep.Store && range.Overlaps(new ByteRange(unit * (long)Unit, Unit)) ? kind : null);
        _target.Steps = steps;
    }
}
