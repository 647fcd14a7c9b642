using Xunit;

namespace BlockLayer.Interop.Tests.Jobs;

/// <summary>The life of each kind of job under the same commands, on qemu-storage-daemon and on ours.</summary>
[Collection(JobImagesCollection.Name)]
public sealed class JobLifeTests(JobImages images)
{
    public static TheoryData<string> Kinds => [.. JobRequest.Kinds];

    public static TheoryData<string> ReadyKinds => [JobRequest.ActiveCommit, JobRequest.Mirror];

    [Theory]
    [MemberData(nameof(Kinds))]
    public Task It_runs_to_its_end(string kind)
    {
        JobRequest job = JobRequest.Of(kind);
        return SidesFor(job).RunAsync(async side =>
        {
            await side.StartAsync(job);
            await CompleteIfReadyAsync(side, job);
            await side.UntilAsync("null");
            await side.QueryAsync();
        });
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public Task It_waits_to_be_finalized_and_to_be_dismissed(string kind)
    {
        JobRequest job = JobRequest.Of(kind) with { AutoFinalize = false, AutoDismiss = false };
        return SidesFor(job).RunAsync(async side =>
        {
            await side.StartAsync(job);
            await CompleteIfReadyAsync(side, job);
            await side.UntilAsync("BLOCK_JOB_PENDING");
            if (!job.BecomesReady) // QEMU holds those back in a way that shows as a pause
            {
                await side.QueryAsync();
            }

            await side.RefusesAsync("job-pause", "job-resume", "set-speed 5", "job-complete", "job-dismiss");
            await side.TakesAsync("job-finalize");
            await side.UntilAsync("concluded");
            await side.QueryAsync();
            await side.RefusesAsync("job-pause", "job-resume", "set-speed 5", "job-complete", "job-finalize", "job-cancel", "block-job-cancel", "block-job-cancel force");
            await side.TakesAsync("job-dismiss");
            await side.UntilAsync("null");
            await side.QueryAsync();
            await side.RefusesAsync("job-pause", "job-finalize", "job-cancel", "job-dismiss");
        });
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public Task It_is_paused_resumed_and_woken_by_another_speed(string kind)
    {
        JobRequest job = JobRequest.Of(kind) with { Speed = 1 };
        return SidesFor(job).RunAsync(async side =>
        {
            await side.StartAsync(job);
            await side.UntilAsync("running");
            await side.RefusesAsync("job-resume", "job-complete", "job-finalize", "job-dismiss", "set-speed -1");
            await side.TakesAsync("job-pause");
            await side.UntilAsync("paused");
            await side.RefusesAsync("job-pause", "job-complete", "job-finalize", "job-dismiss");
            await side.QueryAsync();
            if (!job.BecomesReady) // QEMU's had copied this little before it slept, and may be ready when it wakes
            {
                await side.TakesAsync("job-resume");
                await side.UntilAsync("running");
                await side.QueryAsync();
                await side.RefusesAsync("job-resume");
            }

            await side.TakesAsync("set-speed 0"); // else it would take days
            if (job.BecomesReady)
            {
                await side.TakesAsync("job-resume");
            }

            await CompleteIfReadyAsync(side, job);
            await side.UntilAsync("null");
        });
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public Task It_is_cancelled_at_work(string kind) => CancelAtWorkAsync(JobRequest.Of(kind) with { Speed = 1, AutoDismiss = false }, "job-cancel");

    [Theory]
    [MemberData(nameof(Kinds))]
    public Task Without_force_it_is_cancelled_at_work_all_the_same(string kind)
        => CancelAtWorkAsync(JobRequest.Of(kind) with { Speed = 1, AutoDismiss = false }, "block-job-cancel");

    [Theory]
    [MemberData(nameof(Kinds))]
    public Task It_is_cancelled_while_it_is_paused(string kind)
    {
        JobRequest job = JobRequest.Of(kind) with { Speed = 1 };
        return new BothSides(images) { Opened = ["target"] }.RunAsync(async side =>
        {
            await side.StartAsync(job);
            await side.TakesAsync("job-pause");
            await side.UntilAsync("paused");
            await side.TakesAsync("job-cancel");
            await side.UntilAsync("null");
        });
    }

    [Theory]
    [InlineData(JobRequest.Stream, "job-cancel")]
    [InlineData(JobRequest.Commit, "block-job-cancel")]
    [InlineData(JobRequest.ActiveCommit, "job-cancel")]
    [InlineData(JobRequest.Mirror, "block-job-cancel")]
    [InlineData(JobRequest.Backup, "block-job-cancel force")]
    public Task It_is_cancelled_when_only_its_result_is_missing(string kind, string verb)
    {
        JobRequest job = JobRequest.Of(kind) with { AutoFinalize = false };
        return new BothSides(images) { Opened = ["target"] }.RunAsync(async side =>
        {
            await side.StartAsync(job);
            await CompleteIfReadyAsync(side, job);
            await side.UntilAsync("BLOCK_JOB_PENDING");
            await side.TakesAsync(verb);
            await side.UntilAsync("null");
        });
    }

    [Theory]
    [MemberData(nameof(ReadyKinds))]
    public Task Ready_it_is_paused_and_completed(string kind)
    {
        JobRequest job = JobRequest.Of(kind);
        return SidesFor(job).RunAsync(async side =>
        {
            await side.StartAsync(job);
            await side.UntilAsync("BLOCK_JOB_READY");
            await side.QueryAsync();
            await side.RefusesAsync("job-resume", "job-finalize", "job-dismiss");
            await side.TakesAsync("job-pause");
            await side.UntilAsync("standby");
            await side.QueryAsync();
            await side.RefusesAsync("job-pause", "job-finalize", "job-dismiss");
            await side.TakesAsync("job-complete");
            await side.TakesAsync("job-resume");
            await side.UntilAsync("null");
        });
    }

    [Theory]
    [MemberData(nameof(ReadyKinds))]
    public Task Ready_and_cancelled_without_force_it_ends_well(string kind)
    {
        JobRequest job = JobRequest.Of(kind) with { AutoDismiss = false };
        return SidesFor(job).RunAsync(async side =>
        {
            await side.StartAsync(job);
            await side.UntilAsync("BLOCK_JOB_READY");
            await side.TakesAsync("block-job-cancel");
            await side.UntilAsync("concluded");
            await side.QueryAsync();
            await side.TakesAsync("job-dismiss");
            await side.UntilAsync("null");
        });
    }

    [Theory]
    [InlineData(JobRequest.ActiveCommit, "job-cancel")]
    [InlineData(JobRequest.Mirror, "job-cancel")]
    [InlineData(JobRequest.Mirror, "block-job-cancel force")]
    public Task Ready_and_cancelled_with_force_it_is_gone(string kind, string verb)
    {
        JobRequest job = JobRequest.Of(kind);
        return SidesFor(job).RunAsync(async side =>
        {
            await side.StartAsync(job);
            await side.UntilAsync("BLOCK_JOB_READY");
            await side.TakesAsync(verb);
            await side.UntilAsync("null");
        });
    }

    /// <summary>QEMU refuses this one, unless with force or by <c>job-cancel</c>; ours ends what its user no longer wants, paused or not.</summary>
    [Fact]
    public async Task Only_ours_takes_a_cancel_without_force_while_it_is_paused()
    {
        JobRequest job = JobRequest.Of(JobRequest.Stream) with { Speed = 1 };
        using JobFolder theirs = JobFolder.Roomy(images);
        await using QemuSide qemu = await QemuSide.OpenAsync(theirs.Path);
        using JobFolder ours = JobFolder.Roomy(images);
        await using OurSide own = await OurSide.OpenAsync(ours.Path);
        foreach (JobSide side in new JobSide[] { qemu, own })
        {
            await side.StartAsync(job);
            await side.TakesAsync("job-pause");
            await side.UntilAsync("paused");
        }

        await qemu.RefusesAsync("block-job-cancel");
        await own.TakesAsync("block-job-cancel");
        await own.UntilAsync("null");
    }

    // What it had copied is copied; the disk reads as before, its chain is as before.
    private Task CancelAtWorkAsync(JobRequest job, string verb)
        => new BothSides(images) { Opened = ["target"] }.RunAsync(async side =>
        {
            await side.StartAsync(job);
            await side.TakesAsync(verb);
            await side.UntilAsync("concluded");
            await side.QueryAsync();
            await side.RefusesAsync("job-cancel", "job-finalize");
            await side.TakesAsync("job-dismiss");
            await side.UntilAsync("null");
        });

    private BothSides SidesFor(JobRequest job) => new(images) { Opened = ["target"], Results = job.Results };

    private static async Task CompleteIfReadyAsync(JobSide side, JobRequest job)
    {
        if (job.BecomesReady)
        {
            await side.UntilAsync("BLOCK_JOB_READY");
            await side.TakesAsync("job-complete");
        }
    }
}
