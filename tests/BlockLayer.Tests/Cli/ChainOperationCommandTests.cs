using BlockLayer.Cli;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Cli;

/// <summary><c>blk rebase</c>, <c>blk commit</c> and <c>--dry-run</c>, in real files.</summary>
public sealed class ChainOperationCommandTests : IDisposable
{
    private const int Length = 4 << 20;

    private readonly BlkRun _blk = new();

    public void Dispose() => _blk.Dispose();

    [Theory]
    [InlineData("qcow2")]
    [InlineData("qed")]
    public async Task Rebasing_copies_what_differs_and_a_second_run_copies_nothing(string format)
    {
        byte[] content = await MakeChainAsync(format);
        Assert.Equal(
            """
            Rebase of @current onto @template; nothing was changed.
              to copy:                1 MiB (1048576 bytes) as data, 0 B (0 bytes) as zeroes
              not needed afterwards:  @intermediate

            """,
            await _blk.SucceedAsync("rebase", "--dry-run", "-b", "template", "@current"));
        Assert.Equal("Copied 1 MiB as data, 0 B as zeroes. The chain is now @template <- @current.\n", await _blk.SucceedAsync("rebase", "-b", "template", "@current"));
        Assert.Equal("Copied 0 B as data, 0 B as zeroes. The chain is now @template <- @current.\n", await _blk.SucceedAsync("rebase", "-b", "template", "@current"));
        Assert.Contains("backing file: template (actual path: @template)\n", await _blk.SucceedAsync("info", "@current"), StringComparison.Ordinal);
        await AssertContentAsync("@current", content);
        await _blk.SucceedAsync("rebase", "-b", "", "@current");
        Assert.DoesNotContain("backing file", await _blk.SucceedAsync("info", "@current"), StringComparison.Ordinal);
        await AssertContentAsync("@current", content);
    }

    [Fact]
    public async Task A_rebase_succeeds_although_an_image_that_is_not_needed_any_more_cannot_be_closed()
    {
        byte[] content = await MakeChainAsync("qcow2");
        Assert.Equal(
            new BlkRun.Outcome(
                ExitCode.Success,
                "Copied 1 MiB as data, 0 B as zeroes. The chain is now @template <- @current.\n",
                $"blk: @intermediate: {FailingClose.Message} The rebase was completed all the same.\n"),
            await _blk.RunAsync("@intermediate", new FailingClose(), "rebase", "-b", "template", "@current"));
        await AssertContentAsync("@current", content);
    }

    [Fact]
    public async Task A_template_that_was_moved_is_recorded_without_being_compared()
    {
        byte[] content = await MakeChainAsync("qcow2");
        Directory.CreateDirectory(_blk.Folder.File("old"));
        File.Move(_blk.Folder.File("intermediate"), _blk.Folder.File("old/intermediate"));
        await _blk.SucceedAsync("rebase", "-u", "-b", "../template", "@old/intermediate", "--allow", "@");
        Assert.Equal(
            "@current records the backing file 'old/intermediate' (qcow2); nothing was compared or copied.\n",
            await _blk.SucceedAsync("rebase", "-u", "-b", "old/intermediate", "@current"));
        await AssertContentAsync("@current", content);
        Assert.Equal(
            "@current records no backing file; nothing was compared or copied.\n",
            await _blk.SucceedAsync("rebase", "-u", "-b", "", "@current"));
    }

    [Fact]
    public async Task A_format_that_is_not_recognised_has_to_be_said()
    {
        await MakeChainAsync("qcow2");
        BlkRun.Outcome missing = await _blk.RunAsync("rebase", "-u", "-b", "moved-away", "@current");
        await _blk.SucceedAsync("rebase", "-u", "-b", "moved-away", "-F", "raw", "@current");
        Assert.Contains("backing file: moved-away", await _blk.SucceedAsync("info", "@current"), StringComparison.Ordinal);
        Assert.Equal((1, "blk: @moved-away: Open failed: No such file or directory. Check the name and the directory.\n"), (missing.Code, missing.Error));
    }

    [Theory]
    [InlineData("blk: @intermediate: It cannot be based on '@current': it is itself part of that chain, @template <- @intermediate <- @current.\n", "-b", "current", "@intermediate")]
    [InlineData("blk: @current: 'current' is '@current' itself, which cannot be its own backing file.\n", "-u", "-b", "current", "@current")]
    [InlineData("blk rebase: it needs the new backing file: -b FILE, or -b '' for none. See blk help rebase.\n", "@current")]
    [InlineData("blk rebase: -F names the format of a backing file, and -b '' asks for none. See blk help rebase.\n", "-b", "", "-F", "raw", "@current")]
    [InlineData("blk rebase: -u compares nothing, so there is nothing that --dry-run could tell. See blk help rebase.\n", "-u", "--dry-run", "-b", "template", "@current")]
    public async Task A_rebase_that_makes_no_sense_is_refused_and_changes_nothing(string message, params string[] arguments)
    {
        byte[] content = await MakeChainAsync("qcow2");
        Assert.Equal(new BlkRun.Outcome(1, "", message), await _blk.RunAsync(["rebase", .. arguments]));
        await AssertContentAsync("@current", content);
    }

    [Theory]
    [InlineData("qcow2")]
    [InlineData("qed")]
    public async Task Committing_empties_the_image_and_tells_before_what_it_does(string format)
    {
        byte[] content = await MakeChainAsync(format);
        Assert.Equal(
            """
            Commit of @current into @intermediate; nothing was changed.
              to copy:                1 MiB (1048576 bytes) as data, 0 B (0 bytes) as zeroes
              emptied:                @current
              changed:                @intermediate

            """,
            await _blk.SucceedAsync("commit", "--dry-run", "@current"));
        Assert.Equal("Committed 1 MiB as data, 0 B as zeroes into @intermediate. @current is empty now.\n", await _blk.SucceedAsync("commit", "@current"));
        await AssertContentAsync("@current", content);
        await AssertContentAsync("@intermediate", content);
        Assert.Equal(
            """
            Commit of @current into @intermediate; nothing was changed.
              to copy:                0 B (0 bytes) as data, 0 B (0 bytes) as zeroes
              emptied:                @current

            """,
            await _blk.SucceedAsync("commit", "--dry-run", "@current"));
        await _blk.SucceedAsync("check", "@current");
    }

    [Fact]
    public async Task Committing_further_down_keeps_the_image_and_names_what_is_invalid()
    {
        byte[] content = await MakeChainAsync("qcow2");
        string plan = await _blk.SucceedAsync("commit", "--dry-run", "-b", "@template", "@current");
        Assert.Contains("  invalid afterwards:     @intermediate\n", plan, StringComparison.Ordinal);
        Assert.Equal(
            "Committed 2 MiB as data, 0 B as zeroes into @template. @current keeps what it holds.\n",
            await _blk.SucceedAsync("commit", "-b", "@template", "@current"));
        await AssertContentAsync("@current", content);
        await AssertContentAsync("@template", content);
    }

    [Fact]
    public async Task Keeping_leaves_the_image_as_it_is()
    {
        byte[] content = await MakeChainAsync("qcow2");
        byte[] before = await File.ReadAllBytesAsync(_blk.Folder.File("current"));
        Assert.EndsWith("@current keeps what it holds.\n", await _blk.SucceedAsync("commit", "-d", "@current"), StringComparison.Ordinal);
        Assert.Equal(before, await File.ReadAllBytesAsync(_blk.Folder.File("current")));
        await AssertContentAsync("@intermediate", content);
    }

    [Fact]
    public async Task Siblings_keep_a_commit_from_being_done_unless_they_are_given_up()
    {
        byte[] content = await MakeChainAsync("qcow2");
        await _blk.SucceedAsync("create", "-f", "qcow2", "-b", "intermediate", "-F", "qcow2", "@sibling");
        byte[] before = await File.ReadAllBytesAsync(_blk.Folder.File("intermediate"));
        BlkRun.Outcome refused = await _blk.RunAsync("commit", "@current");
        Assert.Equal(
            new BlkRun.Outcome(
                ExitCode.Failure,
                "",
                "blk: @sibling: it reads through '@intermediate' and would be destroyed.\n"
                + "blk: nothing was done. Pull or rebase those images first, or use --force to give them up.\n"),
            refused);
        Assert.Equal(before, await File.ReadAllBytesAsync(_blk.Folder.File("intermediate")));
        Assert.Contains("  destroyed:              @sibling (reads through @intermediate)\n", await _blk.SucceedAsync("commit", "--dry-run", "@current"), StringComparison.Ordinal);
        await _blk.SucceedAsync("commit", "--force", "@current");
        await AssertContentAsync("@intermediate", content);
    }

    [Theory]
    [InlineData("pull")]
    [InlineData("rebase", "-b", "")]
    public async Task Files_that_only_others_need_are_told_with_who_needs_them(params string[] command)
    {
        await MakeChainAsync("qcow2");
        await _blk.SucceedAsync("create", "-f", "qcow2", "-b", "intermediate", "-F", "qcow2", "@sibling");
        Assert.EndsWith(
            """
              not needed afterwards:  @intermediate
              not needed afterwards:  @template
              needed by others:       @intermediate (by @sibling)
              needed by others:       @template (by @sibling)

            """,
            await _blk.SucceedAsync([.. command, "--dry-run", "@current"]),
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task Siblings_elsewhere_are_found_where_the_user_says()
    {
        await MakeChainAsync("qcow2");
        Directory.CreateDirectory(_blk.Folder.File("clones"));
        await _blk.SucceedAsync("create", "-f", "qcow2", "-b", "../intermediate", "-F", "qcow2", "@clones/sibling", "--allow", "@");
        BlkRun.Outcome refused = await _blk.RunAsync("commit", "--search", "@clones", "@current");
        Assert.Equal(ExitCode.Failure, refused.Code);
        Assert.StartsWith("blk: @clones/sibling: it reads through '@intermediate' and would be destroyed.\n", refused.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_image_with_a_data_file_is_emptied_with_it()
    {
        byte[] content = await MakeChainAsync("qcow2");
        await _blk.SucceedAsync("create", "-f", "qcow2", "-b", "current", "-F", "qcow2", "-o", "data_file=apart.data", "@apart", "4M");
        await using (Disk disk = await Disk.OpenAsync(_blk.Folder.File("apart")))
        {
            Pattern.Fill(content.AsSpan(500_000, 700_000), 500_000, writer: 9);
            await disk.WriteAsync(500_000, content.AsMemory(500_000, 700_000));
        }

        Assert.EndsWith("@apart is empty now.\n", await _blk.SucceedAsync("commit", "@apart"), StringComparison.Ordinal);
        await AssertContentAsync("@apart", content);
        await AssertContentAsync("@current", content);
        Assert.Contains("0 B (0 bytes) as data", await _blk.SucceedAsync("commit", "--dry-run", "@apart"), StringComparison.Ordinal);
        Assert.StartsWith("No errors were found", await _blk.SucceedAsync("check", "@apart"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_base_in_use_is_not_committed_into()
    {
        byte[] content = await MakeChainAsync("qcow2");
        await using (await Disk.OpenAsync(_blk.Folder.File("intermediate"), new DiskOptions { Access = NodeAccess.ReadOnly }))
        {
            Assert.Equal(ExitCode.InUse, (await _blk.RunAsync("commit", "@current")).Code);
        }

        await AssertContentAsync("@current", content);
    }

    [Fact]
    public async Task An_image_without_a_backing_file_cannot_be_committed()
    {
        await MakeChainAsync("qcow2");
        Assert.Equal(
            new BlkRun.Outcome(1, "", "blk: @template: '@template' has no backing file to be committed into.\n"),
            await _blk.RunAsync("commit", "@template"));
    }

    [Fact]
    public async Task A_pull_tells_before_what_it_copies()
    {
        await MakeChainAsync("qcow2");
        Assert.Equal(
            """
            Pull of @current down to @template; nothing was changed.
              to copy:                1 MiB (1048576 bytes) as data, 0 B (0 bytes) as zeroes
              not needed afterwards:  @intermediate

            """,
            await _blk.SucceedAsync("pull", "--dry-run", "-b", "@template", "@current"));
        Assert.StartsWith("Copied 1 MiB.", await _blk.SucceedAsync("pull", "-b", "@template", "@current"), StringComparison.Ordinal);
    }

    // Three images, each with a MiB of its own; the disk they show.
    private async Task<byte[]> MakeChainAsync(string format)
    {
        byte[] content = new byte[Length];
        string? below = null;
        foreach ((string name, int at) in (IEnumerable<(string, int)>)[("template", 0), ("intermediate", 1 << 20), ("current", 2 << 20)])
        {
            string[] backing = below is null ? [] : ["-b", below, "-F", format];
            await _blk.SucceedAsync(["create", "-f", format, .. backing, $"@{name}", "4M"]);
            await using Disk disk = await Disk.OpenAsync(_blk.Folder.File(name));
            Pattern.Fill(content.AsSpan(at, 1 << 20), at, writer: at >> 20);
            await disk.WriteAsync(at, content.AsMemory(at, 1 << 20));
            below = name;
        }

        return content;
    }

    private async Task AssertContentAsync(string name, byte[] expected)
    {
        var options = new DiskOptions { Access = NodeAccess.ReadOnly, Policy = OpenPolicy.QemuCompatible };
        await using Disk disk = await Disk.OpenAsync(_blk.Folder.File(name[1..]), options);
        byte[] shown = new byte[disk.Length];
        await disk.ReadAsync(0, shown);
        Assert.True(shown.AsSpan().SequenceEqual(expected), $"{name} shows something else");
    }
}
