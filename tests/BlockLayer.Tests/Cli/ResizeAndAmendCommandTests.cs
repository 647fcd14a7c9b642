using BlockLayer.Cli;
using Xunit;

namespace BlockLayer.Tests.Cli;

public sealed class ResizeAndAmendCommandTests : IDisposable
{
    private readonly BlkRun _blk = new();

    public void Dispose() => _blk.Dispose();

    [Theory]
    [InlineData("qcow2")]
    [InlineData("raw")]
    public async Task A_disk_grows_and_shrinks_by_what_is_said(string format)
    {
        await _blk.SucceedAsync("create", "-q", "-f", format, "@a", "1M");
        Assert.Equal("@a has 3 MiB (3145728 bytes).\n", await _blk.SucceedAsync("resize", "-f", format, "@a", "3M"));
        Assert.Equal("@a has 4 MiB (4194304 bytes).\n", await _blk.SucceedAsync("resize", "-f", format, "@a", "+1M"));
        Assert.Equal("@a has 2 MiB (2097152 bytes).\n", await _blk.SucceedAsync("resize", "-f", format, "--shrink", "@a", "-2M"));
        Assert.Contains("virtual size: 2 MiB", await _blk.SucceedAsync("info", "-f", format, "@a"), StringComparison.Ordinal);
        await FailsAsync("blk resize: @a has 2097152 bytes and would shrink to 1048576; --shrink allows it, and what lies behind is lost. See blk help resize.\n", "resize", "-f", format, "@a", "-1M");
        await FailsAsync("blk resize: the disk has 2097152 bytes, so 3145728 cannot be taken away. See blk help resize.\n", "resize", "-f", format, "--shrink", "@a", "-3M");
        Assert.Contains("virtual size: 2 MiB", await _blk.SucceedAsync("info", "-f", format, "@a"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_a_disk_grows_by_has_the_room_that_was_asked_for()
    {
        await _blk.SucceedAsync("create", "-q", "@a", "1M");
        await _blk.SucceedAsync("resize", "-q", "-f", "raw", "--preallocation", "falloc", "@a", "3M");
        Assert.Contains("disk size: 2 MiB\n", await _blk.SucceedAsync("info", "-f", "raw", "@a"), StringComparison.Ordinal);
        await _blk.SucceedAsync("create", "-q", "-f", "qcow2", "@b", "1M");
        await _blk.SucceedAsync("resize", "-q", "--preallocation", "full", "@b", "3M");
        Assert.Contains("disk size: 2.", await _blk.SucceedAsync("info", "@b"), StringComparison.Ordinal);
        await FailsAsync(
            "blk: @a: '@a' is a plain file, which has no metadata to preallocate; preallocation can be off, falloc or full.\n",
            "resize", "-f", "raw", "--preallocation", "metadata", "@a", "4M");
        await FailsAsync(
            "blk resize: --preallocation takes off or metadata or falloc or full, not 'some'. See blk help resize.\n",
            "resize", "-f", "raw", "--preallocation", "some", "@a", "4M");
    }

    [Fact]
    public async Task A_disk_that_cannot_change_its_size_says_why()
    {
        await _blk.SucceedAsync("create", "-q", "-f", "qed", "@a", "1M");
        await FailsAsync("blk: @a: '@a' is a QED image and can only grow: 1048576 bytes cannot become 524288.\n", "resize", "--shrink", "@a", "512K");
        await _blk.SucceedAsync("create", "-q", "-f", "qcow2", "-o", "compat=0.10", "@b", "1M");
        await _blk.SucceedAsync("snapshot", "create", "-q", "@b", "one");
        const string Refusal = "blk: @b: '@b' has snapshots, which need not say their size in version 2, so its own cannot change; amend compat=1.1 first.\n";
        await FailsAsync(Refusal, "resize", "@b", "+1M");
        await _blk.SucceedAsync("amend", "-q", "-o", "compat=1.1", "@b");
        await _blk.SucceedAsync("resize", "-q", "@b", "+1M");
        await FailsAsync("blk: @b: '@b' cannot become version 2 (compat=0.10): snapshot 'one' has another disk size, or more than 4294967295 bytes of VM state.\n", "amend", "-o", "compat=0.10", "@b");
    }

    [Fact]
    public async Task Options_of_an_image_are_amended()
    {
        await _blk.SucceedAsync("create", "-q", "-f", "qcow2", "@a", "1M");
        Assert.Equal("@a has refcount_bits=64, lazy_refcounts=on.\n", await _blk.SucceedAsync("amend", "-o", "refcount_bits=64,lazy_refcounts=on", "@a"));
        string info = await _blk.SucceedAsync("info", "@a");
        Assert.Contains("lazy refcounts: true\n    refcount bits: 64\n", info, StringComparison.Ordinal);
        await _blk.SucceedAsync("amend", "-q", "-o", "refcount_bits=16,compat=v2", "@a");
        Assert.Contains("compat: 0.10\n", await _blk.SucceedAsync("info", "@a"), StringComparison.Ordinal);
        await _blk.SucceedAsync("check", "@a");
    }

    [Fact]
    public async Task Amendments_that_make_no_sense_change_nothing()
    {
        await _blk.SucceedAsync("create", "-q", "-f", "qcow2", "@a", "1M");
        await _blk.SucceedAsync("create", "-q", "-f", "qed", "@b", "1M");
        await FailsAsync("blk amend: it needs what to change: -o name=value. See blk help amend.\n", "amend", "@a");
        await FailsAsync("blk amend: 'cluster_size' of a qcow2 image cannot be amended; compat, refcount_bits and lazy_refcounts can. See blk help amend.\n", "amend", "-o", "cluster_size=4k", "@a");
        await FailsAsync(
            "blk amend: Version 2 (compat=0.10) has refcount_bits=16, and the image would have 8; amend both, or compat=1.1. See blk help amend.\n", "amend", "-o", "compat=0.10,refcount_bits=8", "@a");
        await FailsAsync("blk amend: Version 2 (compat=0.10) has no lazy_refcounts; they need compat=1.1. See blk help amend.\n", "amend", "-o", "compat=0.10,lazy_refcounts=on", "@a");
        await FailsAsync("blk: @b: Format qed has no options that could be amended.\n", "amend", "-o", "compat=1.1", "@b");
        Assert.Contains("compat: 1.1\n", await _blk.SucceedAsync("info", "@a"), StringComparison.Ordinal);
    }

    private async Task FailsAsync(string error, params string[] arguments)
        => Assert.Equal(new BlkRun.Outcome(ExitCode.Failure, "", error), await _blk.RunAsync(arguments));
}
