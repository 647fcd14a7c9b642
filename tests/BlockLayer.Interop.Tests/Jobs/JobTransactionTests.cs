using Xunit;

namespace BlockLayer.Interop.Tests.Jobs;

/// <summary>Two backups that succeed together or not at all (<c>completion-mode=grouped</c>), on qemu-storage-daemon and on ours.</summary>
[Collection(JobImagesCollection.Name)]
public sealed class JobTransactionTests(JobImages images)
{
    private static readonly JobRequest s_first = JobRequest.Of(JobRequest.Backup) with { Id = "first" };
    private static readonly JobRequest s_second = JobRequest.Of(JobRequest.Backup) with { Id = "second", Device = "other", Target = "target2" };

    [Fact]
    public Task Both_are_pending_before_either_is_finalized()
        => Sides("target", "target2").RunAsync(async side =>
        {
            await side.StartAsync(s_first, s_second);
            await UntilBothAsync(side, "null");
            AssertAllBeforeAny(side.Order, "waiting", "pending");
            AssertAllBeforeAny(side.Order, "pending", "concluded");
        });

    [Theory]
    [InlineData("first")]
    [InlineData("second")]
    public Task One_word_finalizes_both(string told)
        => Sides("target", "target2").RunAsync(async side =>
        {
            await side.StartAsync(s_first with { AutoFinalize = false, AutoDismiss = false }, s_second with { AutoDismiss = false });
            await UntilBothAsync(side, "pending");
            await side.UntilAsync("BLOCK_JOB_PENDING", "first");
            await side.QueryAsync();
            await side.TakesAsync("job-finalize", told);
            await UntilBothAsync(side, "concluded");
            await side.QueryAsync();
            await side.TakesAsync("job-dismiss", "first");
            await side.TakesAsync("job-dismiss", "second");
            await UntilBothAsync(side, "null");
        });

    [Theory]
    [InlineData("job-cancel", "first")]
    [InlineData("job-cancel", "second")]
    [InlineData("block-job-cancel", "first")]
    public Task One_that_is_cancelled_takes_the_other_along(string verb, string cancelled)
        => Sides().RunAsync(async side =>
        {
            await side.StartAsync(s_first with { Speed = 1, AutoDismiss = false }, s_second with { AutoDismiss = false });
            await side.UntilAsync("waiting", "second");
            await side.TakesAsync(verb, cancelled);
            await UntilBothAsync(side, "concluded");
            await side.QueryAsync();
            await side.TakesAsync("job-dismiss", "first");
            await side.TakesAsync("job-dismiss", "second");
        });

    [Fact]
    public Task One_that_fails_cancels_the_other()
        => new BothSides(images) { Opened = ["target", "other", "target2"], Room = 512 * 1024 }.RunAsync(async side =>
        {
            // The second saves only what guests overwrite, and there are none: it needs no room. The first finds too little.
            await side.StartAsync(s_first with { AutoDismiss = false }, s_second with { Sync = "none", AutoDismiss = false });
            await UntilBothAsync(side, "concluded");
            await side.QueryAsync();
        });

    [Fact]
    public Task One_that_cannot_start_keeps_the_other_from_starting()
        => Sides().RunAsync(async side =>
        {
            await side.RefusesToStartAsync(s_first, s_second with { Target = "target" });
            await side.QueryAsync();
            await side.StartAsync(s_first with { Id = "third", Target = "target2" }); // the disk is free again; ours has closed the first job's target
            await side.UntilAsync("null", "third");
        });

    private BothSides Sides(params string[] results) => new(images) { Opened = ["target", "other", "target2"], Results = ["active", "other", .. results] };

    private static async Task UntilBothAsync(JobSide side, string what)
    {
        await side.UntilAsync(what, "first");
        await side.UntilAsync(what, "second");
    }

    private static void AssertAllBeforeAny(List<string> order, string before, string after)
    {
        int last = Math.Max(order.IndexOf($"first {before}"), order.IndexOf($"second {before}"));
        int first = Math.Min(order.IndexOf($"first {after}"), order.IndexOf($"second {after}"));
        Assert.True(last >= 0 && last < first, string.Join(", ", order));
    }
}
