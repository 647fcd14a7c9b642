using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Simulation;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Jobs;

/// <summary>An outcome that stands already is told as what it is, whatever goes wrong behind it. The disk is /base &lt;- /middle &lt;- /top, and a file of it, or of a copy, cannot be closed well.</summary>
public class LateErrorTests
{
    private const int Length = 4 * 64 * 1024;

    private readonly SimulatedMachine _machine = new();

    [Fact]
    public void The_last_increment_completes_although_an_image_that_is_not_needed_any_more_cannot_be_closed() => Run("/middle", async options =>
    {
        await using Disk disk = await Disk.OpenAsync("/top", options);
        StreamIncrement increment = default;
        while (!increment.IsComplete)
        {
            Assert.Null(increment.Error);
            increment = await disk.StreamIncrementAsync(increment.Next);
        }

        Assert.Equal((FailingClose.Message, Length), (increment.Error?.Message, increment.Next));
        Assert.Equal(["/top"], disk.Chain.Select(static image => image.Path));
    });

    [Fact]
    public void The_event_of_the_end_tells_it_too() => Run("/middle", async options =>
    {
        await using Disk disk = await Disk.OpenAsync("/top", options);
        JobEnded? end = null;
        JobResult result = await (await disk.StartPullAsync(new StreamOptions { Notify = (_, what) => end = what as JobEnded ?? end })).Completion;
        Assert.Equal((JobOutcome.Completed, FailingClose.Message), (result.Outcome, result.Error?.Message));
        Assert.Equal(result, end?.Result);
    });

    [Fact]
    public void A_copy_that_is_let_go_of_is_whole_although_it_cannot_be_closed() => Run("/copy", async options =>
    {
        await (await _machine.CreateAsync("/copy", Length)).DisposeAsync();
        await using Disk disk = await Disk.OpenAsync("/top", options);
        MirrorJob job = await disk.StartMirrorAsync("/copy", targetOptions: options);
        Assert.True(await job.WaitUntilReadyAsync());
        job.Cancel();
        JobResult result = await job.Completion;
        Assert.Equal((JobOutcome.Completed, FailingClose.Message), (result.Outcome, result.Error?.Message));
        Assert.Equal(["/copy"], result.Files.Changed);
    });

    [Fact]
    public void An_image_is_rebased_although_one_that_is_not_needed_any_more_cannot_be_closed() => Run("/middle", async options =>
    {
        var opener = new ImageOpener(options.Formats, options.Environment);
        await using BlockNode image = await opener.OpenAsync("/top", options.ToOpenOptions());
        ImageRebaseResult result = await ImageRebaser.RebaseAsync(image, backing: null);
        Assert.Equal(FailingClose.Message, result.Error?.Message);
        Assert.Equal((null, Length / 4), (image.Backing, (int)result.DataBytes));
    });

    private void Run(string path, Func<DiskOptions, Task> test) => _machine.Run(async () =>
    {
        await (await _machine.CreateAsync("/base", Length)).DisposeAsync();
        await using (Disk middle = await _machine.CreateAsync("/middle", Length, "/base"))
        {
            await middle.WriteAsync(Length / 2, Pattern.Of(Length / 2, Length / 4, writer: 1));
        }

        await (await _machine.CreateAsync("/top", Length, "/middle")).DisposeAsync();
        var files = new HookedStorageProvider(_machine.Storage, path, new FailingClose());
        await test(_machine.As("qcow2") with { Environment = _machine.Environment with { Files = files } });
    });
}
