using Xunit;

namespace BlockLayer.Interop.Tests.Jobs;

/// <summary>Jobs that run out of room, or meet data that cannot be read, under each policy; on qemu-storage-daemon and on ours.</summary>
[Collection(JobImagesCollection.Name)]
public sealed class JobErrorTests(JobImages images)
{
    private const int Room = 256 * 1024;

    public static TheoryData<string> Kinds => [.. JobRequest.Kinds];

    [Theory]
    [MemberData(nameof(Kinds))]
    public Task Report_on_a_full_disk_fails_the_job(string kind)
    {
        JobRequest job = JobRequest.Of(kind) with { AutoDismiss = false };
        return new BothSides(images) { Opened = ["target"], Room = Room }.RunAsync(async side =>
        {
            await side.StartAsync(job);
            await side.UntilAsync("concluded");
            await side.QueryAsync();
            await side.TakesAsync("job-dismiss");
            await side.UntilAsync("null");
        });
    }

    [Theory]
    [InlineData(JobRequest.Stream, "stop")]
    [InlineData(JobRequest.Stream, "enospc")]
    [InlineData(JobRequest.Commit, "stop")]
    [InlineData(JobRequest.ActiveCommit, "enospc")]
    [InlineData(JobRequest.Mirror, "stop")]
    [InlineData(JobRequest.Backup, "enospc")]
    public Task Stop_on_a_full_disk_pauses_the_job_until_there_is_room(string kind, string policy)
    {
        JobRequest job = JobRequest.Of(kind) with { OnError = policy };
        return new BothSides(images) { Opened = ["target"], Results = job.Results, Room = Room }.RunAsync(async (side, folder) =>
        {
            await side.StartAsync(job);
            await side.UntilAsync("paused");
            await side.QueryAsync();
            await side.RefusesAsync("job-pause", "job-complete");
            folder.MakeRoom();
            await side.TakesAsync("job-resume");
            if (job.BecomesReady)
            {
                await side.UntilAsync("BLOCK_JOB_READY");
                await side.QueryAsync();
                await side.TakesAsync("job-complete");
            }

            await side.UntilAsync("null");
        });
    }

    [Fact]
    public Task Ignore_on_a_full_disk_copies_what_fits_and_fails_in_the_end()
    {
        JobRequest job = JobRequest.Of(JobRequest.Stream) with { OnError = "ignore", AutoDismiss = false };
        return new BothSides(images) { Room = Room }.RunAsync(async side =>
        {
            await side.StartAsync(job);
            await side.UntilAsync("concluded");
            await side.TakesAsync("job-dismiss");
            await side.UntilAsync("null");
        });
    }
}
