using BlockLayer.Cli;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Cli;

public sealed class PullCommandTests : IDisposable
{
    private const int Length = 4 << 20;

    private readonly BlkRun _blk = new();

    [Theory]
    [InlineData("qcow2")]
    [InlineData("qed")]
    public async Task Pulling_down_to_a_base_leaves_the_base_alone_as_backing_file(string format)
    {
        byte[] content = await MakeChainAsync(format);
        Assert.Equal(
            "Copied 1 MiB. The chain is now @template <- @current.\n",
            await _blk.SucceedAsync("pull", "@current", "--base", "@template"));
        string info = await _blk.SucceedAsync("info", "--backing-chain", "@current");
        Assert.Contains("backing file: template (actual path: @template)\n", info, StringComparison.Ordinal);
        Assert.DoesNotContain("intermediate", info, StringComparison.Ordinal);
        await AssertContentAsync(content);
    }

    [Theory]
    [InlineData("qcow2")]
    [InlineData("qed")]
    public async Task Pulling_everything_leaves_no_backing_file(string format)
    {
        byte[] content = await MakeChainAsync(format);
        Assert.Equal("Copied 2 MiB. The chain is now @current.\n", await _blk.SucceedAsync("pull", "@current"));
        File.Delete(_blk.Folder.File("template"));
        File.Delete(_blk.Folder.File("intermediate"));
        await AssertContentAsync(content);
    }

    [Fact]
    public async Task Interrupted_it_says_what_is_copied_and_a_second_run_goes_on()
    {
        byte[] content = await MakeChainAsync("qcow2");
        using var console = new RecordingConsole();
        console.OnErrorLine = _ => console.Interrupt();
        BlkRun.Outcome first = await _blk.RunAsync(console, "pull", "@current", "-b", "@template", "-r", "64K", "-p");
        Assert.Equal((ExitCode.Interrupted, ""), (first.Code, first.Out));
        Assert.Matches("blk: @current: interrupted with .* of 1 MiB copied. Run the same command again to go on from there.\n$", first.Error);
        await AssertContentAsync(content);
        Assert.StartsWith("Copied ", await _blk.SucceedAsync("pull", "@current", "-b", "@template"), StringComparison.Ordinal);
        await AssertContentAsync(content);
    }

    [Fact]
    public async Task A_pull_succeeds_although_an_image_that_is_not_needed_any_more_cannot_be_closed()
    {
        byte[] content = await MakeChainAsync("qcow2");
        Assert.Equal(
            new BlkRun.Outcome(
                ExitCode.Success,
                "Copied 1 MiB. The chain is now @template <- @current.\n",
                $"blk: @intermediate: {FailingClose.Message} The pull was completed all the same.\n"),
            await _blk.RunAsync("@intermediate", new FailingClose(), "pull", "@current", "-b", "@template"));
        await AssertContentAsync(content);
    }

    [Fact]
    public async Task Progress_counts_what_is_copied_and_not_what_is_passed_over()
    {
        await MakeChainAsync("qcow2");
        BlkRun.Outcome outcome = await _blk.RunAsync("pull", "@current", "-b", "@template", "-p");
        string[] lines = outcome.Error.TrimEnd('\n').Split('\n');
        Assert.All(lines, line => Assert.Contains(" of 1 MiB", line, StringComparison.Ordinal));
        Assert.StartsWith("100.0 %  1 MiB of 1 MiB", lines[^1], StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_base_that_is_not_in_the_chain_is_refused_and_the_chain_is_shown()
    {
        await MakeChainAsync("qcow2");
        await _blk.SucceedAsync("create", "-f", "qcow2", "@other", "1M");
        BlkRun.Outcome outcome = await _blk.RunAsync("pull", "@current", "-b", "@other");
        Assert.Equal(
            new BlkRun.Outcome(1, "", "blk: @other: '@other' is not in the backing chain @template <- @intermediate <- @current.\n"),
            outcome);
    }

    [Fact]
    public async Task An_image_in_use_is_not_pulled()
    {
        await MakeChainAsync("qcow2");
        await using Disk user = await Disk.OpenAsync(_blk.Folder.File("current"));
        Assert.Equal(ExitCode.InUse, (await _blk.RunAsync("pull", "@current")).Code);
    }

    public void Dispose() => _blk.Dispose();

    // template: one MiB at 0; intermediate: one MiB at 1.5 MiB; current: a few bytes at 2 MiB, over both.
    private async Task<byte[]> MakeChainAsync(string format)
    {
        byte[] content = new byte[Length];
        await MakeAsync(format, "template", backing: null, content, offset: 0, length: 1 << 20, writer: 1);
        await MakeAsync(format, "intermediate", "template", content, offset: 3 << 19, length: 1 << 20, writer: 2);
        await MakeAsync(format, "current", "intermediate", content, offset: 3 << 20, length: 100, writer: 3);
        return content;
    }

    private async Task MakeAsync(string format, string name, string? backing, byte[] content, int offset, int length, int writer)
    {
        var image = new NewImage { Format = format, Length = Length, Backing = backing is null ? null : new BackingReference(backing, format) };
        await using Disk disk = await Disk.CreateAsync(_blk.Folder.File(name), image);
        byte[] written = Pattern.Of(offset, length, writer);
        await disk.WriteAsync(offset, written);
        await disk.FlushAsync();
        written.CopyTo(content, offset);
    }

    private async Task AssertContentAsync(byte[] content)
    {
        await using Disk disk = await Disk.OpenAsync(_blk.Folder.File("current"), new DiskOptions { Access = NodeAccess.ReadOnly });
        byte[] read = new byte[Length];
        await disk.ReadAsync(0, read);
        Assert.Equal(content, read);
    }
}
