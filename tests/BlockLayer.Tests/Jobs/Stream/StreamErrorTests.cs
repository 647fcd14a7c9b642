using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Jobs;
using BlockLayer.Primitives;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Jobs;

/// <summary>A pull in which something fails: what the policy makes of it, and that nobody loses anything.</summary>
public class StreamErrorTests
{
    private const int Unit = StreamFixture.Unit;

    [Fact]
    public void Report_fails_at_once_keeps_the_backing_file_and_a_rerun_goes_on()
    {
        StreamFixture disk = Disk();
        FailStores(disk, unit: 8, BlockErrorKind.NoSpace);
        disk.Run(async () =>
        {
            JobResult result = await disk.RunAsync();
            Assert.Equal(JobOutcome.Failed, result.Outcome);
            Assert.Equal(BlockErrorKind.NoSpace, ((BlockLayerException)result.Error!).Kind);
            Assert.Equal((CopyStep.Write, JobErrorAction.Report), Errors(disk).Single());
            Assert.Same(disk.Images[0], disk.Top.Backing);
            Assert.InRange(result.Progress.Current, 1, disk.Length - 1);
            disk.Steps.FailNothing();
            await disk.CompletesAsync();
            await AssertContentAsync(disk);
        });
        disk.AssertClean();
    }

    [Fact]
    public void Ignore_copies_what_it_can_fails_at_the_end_and_keeps_the_backing_file()
    {
        StreamFixture disk = Disk();
        FailStores(disk, unit: 8, BlockErrorKind.Io);
        disk.Run(async () =>
        {
            JobResult result = await disk.RunAsync(new StreamOptions { OnError = JobErrorPolicy.Ignore });
            Assert.Equal((JobOutcome.Failed, disk.Length), (result.Outcome, result.Progress.Current));
            Assert.Same(disk.Images[0], disk.Top.Backing);
            Assert.True((await disk.StatusAsync(12L * Unit, Unit)).IsAllocated);
            Assert.All(Errors(disk), error => Assert.Equal(JobErrorAction.Ignore, error.Action));
            await AssertContentAsync(disk);
        });
        disk.AssertClean();
    }

    [Theory]
    [InlineData(JobErrorPolicy.Stop, BlockErrorKind.Io)]
    [InlineData(JobErrorPolicy.StopOnNoSpace, BlockErrorKind.NoSpace)]
    public void Stop_pauses_and_a_resume_tries_the_same_place_again(JobErrorPolicy policy, BlockErrorKind kind)
    {
        StreamFixture disk = Disk();
        FailStores(disk, unit: 8, kind);
        disk.Run(async () =>
        {
            StreamJob job = disk.NewJob(new StreamOptions { OnError = policy });
            await job.StartAsync();
            await Task.Delay(TimeSpan.FromSeconds(1), disk.Scheduler.Time);
            Assert.Equal(JobState.Paused, job.State);
            Assert.Equal(kind, ((BlockLayerException)job.PausingError!).Kind);
            await disk.Root.WriteAsync(0, SectorStamp.Of(0, 512, 1)); // guests go on
            disk.Steps.FailNothing();
            job.Resume();
            Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
            Assert.Null(job.PausingError);
            await AssertContentAsync(disk);
        });
        disk.AssertClean();
    }

    [Fact]
    public void Stop_on_no_space_reports_other_errors()
    {
        StreamFixture disk = Disk();
        FailStores(disk, unit: 8, BlockErrorKind.Io);
        disk.Run(async () => Assert.Equal(JobOutcome.Failed, (await disk.RunAsync(new StreamOptions { OnError = JobErrorPolicy.StopOnNoSpace })).Outcome));
        Assert.Equal(JobErrorAction.Report, Errors(disk).Single().Action);
    }

    [Fact]
    public void A_job_stopped_by_an_error_can_be_cancelled()
    {
        StreamFixture disk = Disk();
        FailStores(disk, unit: 0, BlockErrorKind.NoSpace);
        disk.Run(async () =>
        {
            StreamJob job = disk.NewJob(new StreamOptions { OnError = JobErrorPolicy.Stop });
            await job.StartAsync();
            await Task.Delay(TimeSpan.FromSeconds(1), disk.Scheduler.Time);
            job.Cancel();
            Assert.Equal(JobOutcome.Cancelled, (await job.Completion).Outcome);
        });
        disk.AssertClean();
    }

    [Fact]
    public void A_source_that_fails_to_read_is_told_as_a_read_and_guests_read_all_other_sectors()
    {
        StreamFixture disk = Disk();
        var bad = new ByteRange((8L * Unit) + 1024, 512);
        disk.Steps.FailWhen((step, range) => step == OverlayStep.Read && range.Overlaps(bad) && range.Length != disk.Length ? BlockErrorKind.Io : null);
        disk.Run(async () =>
        {
            JobResult result = await disk.RunAsync();
            Assert.Equal(JobOutcome.Failed, result.Outcome);
            Assert.Equal((CopyStep.Read, JobErrorAction.Report), Errors(disk).Single());
            byte[] sector = new byte[512];
            await disk.Root.ReadAsync(bad.End, sector);
            Assert.Equal(1, SectorStamp.WriterOf(sector, bad.End));
            await Assert.ThrowsAsync<BlockLayerException>(async () => await disk.Root.ReadAsync(bad.Offset, sector));
        });
        disk.AssertClean();
    }

    [Fact]
    public void A_guest_write_that_fails_during_the_pull_leaves_old_or_new_data_and_the_pull_completes()
    {
        StreamFixture disk = Disk();
        bool failing = true;
        disk.Steps.FailWhen((step, range) => failing && step == OverlayStep.Store && range is { Offset: 4L * Unit, Length: 512 } ? BlockErrorKind.Io : null);
        disk.Run(async () =>
        {
            StreamJob job = disk.NewJob(new StreamOptions { BytesPerSecond = 64 * Unit });
            await job.StartAsync();
            BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(
                async () => await disk.Root.WriteAsync(4L * Unit, SectorStamp.Of(4L * Unit, 512, 9)));
            Assert.Equal(BlockErrorKind.Io, error.Kind);
            failing = false;
            Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
            byte[] sectors = new byte[1024];
            await disk.Root.ReadAsync(4L * Unit, sectors);
            Assert.Contains(SectorStamp.WriterOf(sectors, 4L * Unit), new[] { 1, 9 });
            Assert.Equal(1, SectorStamp.WriterOf(sectors.AsSpan(512), (4L * Unit) + 512));
        });
        disk.AssertClean();
    }

    private static StreamFixture Disk() => new StreamFixture(16, Unit, 4096).Fill(0, 0, 16);

    private static void FailStores(StreamFixture disk, int unit, BlockErrorKind kind)
        => disk.Steps.FailWhen((step, range) => step == OverlayStep.Store && range.Overlaps(new ByteRange(unit * (long)Unit, Unit)) ? kind : null);

    private static IEnumerable<(CopyStep Step, JobErrorAction Action)> Errors(StreamFixture disk)
        => disk.Events.OfType<JobErrorOccurred>().Select(error => (error.Step, error.Action));

    private static async Task AssertContentAsync(StreamFixture disk) => Assert.All(await disk.UnitsAsync(), writer => Assert.Equal(1, writer));
}
