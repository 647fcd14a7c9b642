using BlockLayer.Cli;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Cli;

public sealed class MirrorCommandTests : IDisposable
{
    private const int Length = 3 << 20;

    private readonly BlkRun _blk = new();

    [Fact]
    public async Task The_first_run_copies_everything_and_the_next_finds_nothing_to_do()
    {
        Write("source", writer: 1);
        Write("copy", writer: 2);
        Assert.Equal(
            "Copied 3 MiB that could differ. @source and @copy are equal now.\n", await _blk.SucceedAsync("mirror", "-f", "raw", "@source", "@copy"));
        Assert.Equal(Pattern.Of(0, Length, 1), await File.ReadAllBytesAsync(_blk.Folder.File("copy")));
        Assert.Equal("@source and @copy were equal already.\n", await _blk.SucceedAsync("mirror", "-f", "raw", "@source", "raw:@copy"));
        Assert.Equal("Images are identical.\n", await _blk.SucceedAsync("compare", "-f", "raw", "blkmirror:@source:@copy", "-F", "raw", "@copy"));
    }

    // The log is put back to a moment at which one region was being written, as a crash would leave it.
    [Fact]
    public async Task What_a_crash_left_different_is_copied_and_nothing_else()
    {
        Write("source", writer: 1);
        Write("copy", writer: 1);
        await _blk.SucceedAsync("mirror", "-f", "raw", "@source", "@copy");
        byte[] log = await File.ReadAllBytesAsync(_blk.Folder.File("copy.mirror-log"));
        BlockLayer.Filters.RegionSet dirty = new(3);
        dirty.Add(1);
        BlockLayer.Filters.MirrorLogSector.WriteTo(log.AsSpan(512), 0, dirty);
        await File.WriteAllBytesAsync(_blk.Folder.File("copy.mirror-log"), log);
        byte[] torn = Pattern.Of(0, Length, 1);
        torn[(1 << 20) + 5] ^= 1;
        await File.WriteAllBytesAsync(_blk.Folder.File("copy"), torn);

        Assert.Equal(
            "Copied 1 MiB that could differ. @source and @copy are equal now.\n", await _blk.SucceedAsync("mirror", "-f", "raw", "@source", "@copy"));
        Assert.Equal(Pattern.Of(0, Length, 1), await File.ReadAllBytesAsync(_blk.Folder.File("copy")));
    }

    [Fact]
    public async Task Formats_may_differ_and_the_destination_says_its_own()
    {
        Write("source", writer: 1);
        await _blk.SucceedAsync("create", "-q", "-f", "qcow2", "@copy", "3M");
        await _blk.SucceedAsync("mirror", "-q", "-f", "raw", "@source", "qcow2:@copy");
        Assert.Equal("Images are identical.\n", await _blk.SucceedAsync("compare", "-f", "raw", "@source", "-F", "qcow2", "@copy"));
    }

    [Fact]
    public async Task A_failing_read_is_planned_on_the_command_line()
    {
        Write("source", writer: 1);
        BlkRun.Outcome outcome = await _blk.RunAsync("convert", "-f", "raw", "-O", "raw", "blkdebug:read,range=2M+1,error=io:@source", "@copy");
        Assert.Equal(ExitCode.Failure, outcome.Code);
        Assert.Contains("A planned Io failure of Read", outcome.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("blkstream:a:b", "does not read blkstream:IMAGE")]
    [InlineData("throttle:speed=1:a", "'speed' is no limit")]
    public async Task A_name_that_cannot_be_read_is_wrong_use(string name, string message)
    {
        BlkRun.Outcome outcome = await _blk.RunAsync("info", name);
        Assert.Equal(ExitCode.Failure, outcome.Code);
        Assert.Contains(message, outcome.Error, StringComparison.Ordinal);
        Assert.EndsWith("See blk help info.\n", outcome.Error, StringComparison.Ordinal);
    }

    // What the help says of the source.
    [Fact]
    public async Task A_source_that_somebody_has_open_is_refused_as_in_use()
    {
        Write("source", writer: 1);
        Write("copy", writer: 2);
        await using Disk reader = await Disk.OpenAsync(_blk.Folder.File("source"), new DiskOptions { Format = "raw", Access = NodeAccess.ReadOnly });
        BlkRun.Outcome refused = await _blk.RunAsync("mirror", "-f", "raw", "@source", "@copy");
        Assert.Equal(ExitCode.InUse, refused.Code);
        Assert.Contains("SOURCE is opened for writing as DEST is", await _blk.SucceedAsync("mirror", "--help"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_destination_that_is_too_short_is_refused()
    {
        Write("source", writer: 1);
        await File.WriteAllBytesAsync(_blk.Folder.File("copy"), new byte[512]);
        BlkRun.Outcome outcome = await _blk.RunAsync("mirror", "-f", "raw", "@source", "@copy");
        Assert.NotEqual(0, outcome.Code);
        Assert.Contains("cannot mirror the 3145728 bytes of '@source'; grow it first.", outcome.Error, StringComparison.Ordinal);
    }

    public void Dispose() => _blk.Dispose();

    private void Write(string name, int writer) => File.WriteAllBytes(_blk.Folder.File(name), Pattern.Of(0, Length, writer));
}
