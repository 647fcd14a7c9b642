using BlockLayer.Cli;
using Xunit;

namespace BlockLayer.Tests.Cli;

public sealed class DemoCommandTests : IDisposable
{
    private readonly BlkRun _blk = new();

    [Fact]
    public async Task A_small_demo_holds_and_keeps_the_images_where_it_was_told_to()
    {
        BlkRun.Outcome outcome = await _blk.RunAsync("demo", "--size", "64M", "--bandwidth", "32M", "--dir", "@images");
        Assert.Equal((ExitCode.Success, ""), (outcome.Code, outcome.Error));
        Assert.Contains("before     template <- intermediate <- current\n", outcome.Out, StringComparison.Ordinal);
        Assert.Contains("after      template <- current\n", outcome.Out, StringComparison.Ordinal);
        Assert.Matches(@"chain on disk +template.qcow2 <- current.qcow2 +ok\n", outcome.Out);
        Assert.Matches(@"bytes of current +67108864 compared with the model +ok\n", outcome.Out);
        Assert.Matches(@"guest waits, pulling +p50 [0-9.]+ (us|ms), p99 [0-9.]+ (us|ms) of [0-9]+\n", outcome.Out);
        Assert.DoesNotContain("FAILED", outcome.Out, StringComparison.Ordinal);
        Assert.True(File.Exists(_blk.Folder.File("images/current.qcow2")));
    }

    [Fact]
    public async Task Interrupted_it_ends_with_the_code_for_that()
    {
        using var console = new RecordingConsole();
        console.Interrupt();
        BlkRun.Outcome outcome = await _blk.RunAsync(console, "demo", "--size", "16M", "--dir", "@images");
        Assert.Equal((ExitCode.Interrupted, "blk demo: interrupted.\n"), (outcome.Code, outcome.Error));
    }

    [Fact]
    public async Task A_size_it_cannot_play_with_is_wrong_use()
    {
        BlkRun.Outcome outcome = await _blk.RunAsync("demo", "--size", "1000");
        Assert.Equal((ExitCode.Failure, "blk demo: -s takes a multiple of 1M from 16M to 64G, not 1000. See blk help demo.\n"), (outcome.Code, outcome.Error));
    }

    public void Dispose() => _blk.Dispose();
}
