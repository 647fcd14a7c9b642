using BlockLayer.Cli;
using BlockLayer.TestKit;
using BlockLayer.Tests.Cli;
using Xunit;

namespace BlockLayer.Interop.Tests.Pull;

/// <summary>What cannot be pulled is refused with one clear line, and no file is touched.</summary>
public sealed class PullBadInputTests : IDisposable
{
    private readonly QemuTool _qemuImg = QemuTool.Require("qemu-img");
    private readonly BlkRun _blk = new();

    [Theory]
    [InlineData("qcow2", 10, "length of the file is 10 bytes at byte 0; expected is at least 72.")]
    [InlineData("qcow2", 300, "backing_file_offset is 528 at byte 8; expected is 0 or 112 to 300.")]
    [InlineData("qcow2", 70000, "refcount table of 65536 bytes at byte 65536 does not end inside the file of 70000 bytes.")]
    [InlineData("qed", 10, "The file is 10 bytes long; the header takes 64.")]
    [InlineData("qed", 70000, "The L1 table is said to take 262144 bytes from byte 65536; the file ends at byte 70000.")]
    public async Task A_file_that_was_cut_off(string format, int length, string error)
    {
        CreateChain(format);
        using (FileStream file = File.OpenWrite(_blk.Folder.File("current")))
        {
            file.SetLength(length);
        }

        await AssertRefusedAsync($"blk: @current: {error}", "pull", "@current");
    }

    [Theory]
    [InlineData("qcow2", "magic is 0x58585858 at byte 0; expected is 0x514649fb.")]
    [InlineData("qed", "magic is '58585858' at byte 0; expected is '51454400'.")]
    public async Task A_wrong_magic(string format, string error)
    {
        CreateChain(format);
        Overwrite(at: 0, "58585858");
        await AssertRefusedAsync("blk: @current: It does not start with the magic of a known format, and raw is never guessed", "pull", "@current");
        await AssertRefusedAsync($"blk: @current: {error}", "pull", "-f", format, "@current");
    }

    [Theory]
    [InlineData("qcow2", 20, "00000008", "cluster_bits is 8 at byte 20; allowed is 9 to 21.")]
    [InlineData("qcow2", 20, "00000016", "cluster_bits is 22 at byte 20; allowed is 9 to 21.")]
    [InlineData("qcow2", 4, "00000004", "version is 4 at byte 4; allowed is 2 to 3.")]
    [InlineData("qcow2", 36, "ffffffff", "l1_size is 4294967295 at byte 36; allowed is 1 to 4194304.")]
    [InlineData("qcow2", 16, "ffffffff", "backing_file_size is 4294967295 at byte 16; allowed is 0 to 1023.")]
    [InlineData("qcow2", 40, "7fffffffffffffff", "l1_table_offset is 0x7fffffffffffffff at byte 40; expected is a multiple of the cluster size 65536.")]
    [InlineData("qcow2", 24, "7fffffffffffffff", "size is 9223372036854775807 at byte 24; expected is at most 4194304 L1 entries of 536870912 bytes each.")]
    [InlineData("qcow2", 96, "00000007", "refcount_order is 7 at byte 96; allowed is 0 to 6.")]
    [InlineData("qed", 4, "00020000", "cluster_size is 512 at byte 4; expected is a power of two from 4096 to 67108864.")]
    [InlineData("qed", 8, "20000000", "table_size is 32 at byte 8; expected is a power of two from 1 to 16.")]
    [InlineData("qed", 16, "81", "features has bits that are not known here: 7; known are 0 to 2.")]
    [InlineData("qed", 40, "ffffffffffffff7f", "l1_table_offset is 9223372036854775807 at byte 40; expected is a multiple of cluster_size, 65536.")]
    [InlineData("qed", 48, "ffffffffffffff7f", "image_size is 9223372036854775807 at byte 48; expected is a multiple of 512.")]
    [InlineData("qed", 60, "ffff0000", "backing_filename_size is 65535 at byte 60; allowed is 1 to 1023.")]
    public async Task A_header_field_past_its_limit(string format, int at, string bytes, string error)
    {
        CreateChain(format);
        Overwrite(at, bytes);
        await AssertRefusedAsync($"blk: @current: {error}", "pull", "@current");
    }

    [Theory]
    [InlineData("qcow2")]
    [InlineData("qed")]
    public async Task A_backing_file_that_is_missing(string format)
    {
        CreateChain(format);
        File.Delete(_blk.Folder.File("template"));
        await AssertRefusedAsync("blk: @template: The backing file 'template' (raw) of '@current' does not exist at '@template'.", "pull", "@current");
    }

    [Theory]
    [InlineData("qcow2")]
    [InlineData("qed")]
    public async Task A_backing_file_that_is_the_image_itself(string format)
    {
        CreateOver(format, "other", backing: "current"); // qemu-img refuses to name an image as its own backing file
        File.Move(_blk.Folder.File("other"), _blk.Folder.File("current"));
        await AssertRefusedAsync("blk: @current: '@current' is its own backing file.", "pull", "@current");
    }

    [Theory]
    [InlineData("qcow2")]
    [InlineData("qed")]
    public async Task A_chain_that_loops(string format)
    {
        CreateOver(format, "current", backing: "other");
        CreateOver(format, "other", backing: "current");
        await AssertRefusedAsync("blk: @current: '@current' is a backing file of itself: the chain loops.", "pull", "@current");
    }

    [Theory]
    [InlineData("qcow2")]
    [InlineData("qed")]
    public async Task A_base_that_is_not_in_the_chain(string format)
    {
        CreateChain(format);
        _qemuImg.RunOk("create", "-q", "-f", format, _blk.Folder.File("other"), "1M");
        await AssertRefusedAsync("blk: @other: '@other' is not in the backing chain @template <- @current.", "pull", "@current", "--base", "@other");
        await AssertRefusedAsync("blk: @nowhere: '@nowhere' is not in the backing chain @template <- @current.", "pull", "@current", "--base", "@nowhere");
        await AssertRefusedAsync("blk: @current: '@current' cannot be its own base.", "pull", "@current", "--base", "@current");
    }

    public void Dispose() => _blk.Dispose();

    private void CreateChain(string format)
    {
        File.WriteAllBytes(_blk.Folder.File("template"), Pattern.Of(0, 1 << 20, writer: 1));
        _qemuImg.RunOk("create", "-q", "-f", format, "-b", "template", "-F", "raw", _blk.Folder.File("current"));
        QemuTool.Require("qemu-io").RunOk("-f", format, "-c", "write -P 5 64k 64k", _blk.Folder.File("current"));
    }

    private void CreateOver(string format, string name, string backing)
        => _qemuImg.RunOk("create", "-q", "-f", format, "-u", "-b", backing, "-F", format, _blk.Folder.File(name), "1M");

    private void Overwrite(int at, string bytes)
    {
        using FileStream file = File.OpenWrite(_blk.Folder.File("current"));
        file.Position = at;
        file.Write(Convert.FromHexString(bytes));
    }

    private async Task AssertRefusedAsync(string error, params string[] arguments)
    {
        Dictionary<string, byte[]> before = ReadFiles();
        BlkRun.Outcome outcome = await _blk.RunAsync(arguments);
        Assert.Equal((ExitCode.Failure, ""), (outcome.Code, outcome.Out));
        Assert.StartsWith(error, outcome.Error, StringComparison.Ordinal); // advice may follow
        Assert.Equal(outcome.Error.Length - 1, outcome.Error.IndexOf('\n', StringComparison.Ordinal));
        Assert.Equal(before, ReadFiles());
    }

    private Dictionary<string, byte[]> ReadFiles() => Directory.GetFiles(_blk.Folder.Path).ToDictionary(static path => path, File.ReadAllBytes);
}
