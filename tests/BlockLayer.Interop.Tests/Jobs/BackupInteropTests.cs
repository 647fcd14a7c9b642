using System.Text.Json;
using BlockLayer.Images;
using BlockLayer.Interop.Tests.Qcow2;
using BlockLayer.Jobs;
using BlockLayer.Primitives;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Interop.Tests.Jobs;

/// <summary>
/// Backups of each kind, of a disk and into an image that qemu-img made, while a guest overwrites what is not saved yet: qemu-img finds disk and backup sound, follows the chains that are to be, and
/// reads from the backup what it read from the disk before.
/// </summary>
public sealed class BackupInteropTests : IDisposable
{
    private const int MiB = 1 << 20;
    private const int GuestLength = 100 * 1024;

    private readonly TemporaryFolder _folder = new();
    private readonly QemuTool _qemuImg = QemuTool.Require("qemu-img");
    private readonly QemuTool _qemuIo = QemuTool.Require("qemu-io");

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("qcow2", BackupSync.Full, "target")]
    [InlineData("qed", BackupSync.Full, "target")]
    [InlineData("qcow2", BackupSync.Top, "target base")]
    [InlineData("qcow2", BackupSync.None, "target disk base")]
    public async Task A_backup_holds_what_qemu_img_read_before(string format, BackupSync sync, string chain)
    {
        MakeDisk();
        MakeTarget("target", format, sync == BackupSync.Top ? "base" : null);
        await BackUpAsync("target", format, new BackupOptions { Sync = sync });
        if (sync == BackupSync.None)
        {
            _qemuImg.RunOk("rebase", "-u", "-f", format, "-b", "disk", "-F", "qcow2", PathOf("target")); // the rest is what the disk holds
        }

        AssertBackup("target", format, chain);
    }

    [Fact]
    public async Task An_incremental_backup_needs_the_one_before_and_leaves_in_the_bitmap_what_the_next_one_needs()
    {
        MakeDisk();
        MakeTarget("monday", "qcow2", backing: null);
        _qemuImg.RunOk("bitmap", "--add", "-g", "64k", PathOf("disk"), "since-monday");
        await BackUpAsync("monday", "qcow2", new BackupOptions());
        AssertBackup("monday", "qcow2", "monday");

        _qemuIo.RunOk("-f", "qcow2", "-c", "write -P 5 6M 200k", "-c", "write -z 64k 64k", PathOf("disk"));
        Flatten();
        MakeTarget("tuesday", "qcow2", "monday");
        await BackUpAsync("tuesday", "qcow2", new BackupOptions { Sync = BackupSync.Incremental, Bitmap = "since-monday" });
        AssertBackup("tuesday", "qcow2", "tuesday monday");
        Assert.Equal([new ByteRange(MiB, 2 * 64 * 1024)], QemuBitmap.Ranges(_folder, PathOf("disk"), "since-monday")); // what the guest wrote since
    }

    private string PathOf(string name) => _folder.File(name);

    // base, raw <- disk, qcow2.
    private void MakeDisk()
    {
        _qemuImg.RunOk("create", "-q", "-f", "raw", PathOf("base"), "8M");
        _qemuIo.RunOk("-f", "raw", "-c", "write -P 1 0 2M", "-c", "write -P 2 4M 1M", PathOf("base"));
        _qemuImg.RunOk("create", "-q", "-f", "qcow2", "-b", "base", "-F", "raw", PathOf("disk"));
        _qemuIo.RunOk("-f", "qcow2", "-c", "write -P 3 900k 1M", "-c", "write -z 4500k 200k", PathOf("disk"));
        Flatten();
    }

    private void Flatten() => _qemuImg.RunOk("convert", "-f", "qcow2", "-O", "raw", PathOf("disk"), PathOf("flat"));

    private void MakeTarget(string name, string format, string? backing)
        => _qemuImg.RunOk(["create", "-q", "-f", format, .. backing is null ? Array.Empty<string>() : ["-b", backing, "-F", backing == "base" ? "raw" : "qcow2"], PathOf(name), "8M"]);

    // The job does not get far before the guest has written.
    private async Task BackUpAsync(string target, string format, BackupOptions options)
    {
        await using Disk disk = await Disk.OpenAsync(PathOf("disk"), new DiskOptions { Format = "qcow2" });
        BackupJob job = await disk.StartBackupAsync(PathOf(target), options with { BytesPerSecond = 1 }, new DiskOptions { Format = format });
        await disk.WriteAsync(MiB, Enumerable.Repeat((byte)9, GuestLength).ToArray());
        job.BytesPerSecond = 0;
        if (options.Sync == BackupSync.None)
        {
            job.Cancel(); // it has no other end
        }

        JobResult result = await job.Completion;
        Assert.Equal((options.Sync == BackupSync.None ? JobOutcome.Cancelled : JobOutcome.Completed, null), (result.Outcome, result.Error));
        Assert.Equal([PathOf("disk"), PathOf("base")], result.Files.Needed);
        Assert.Equal([PathOf(target)], result.Outcome == JobOutcome.Completed ? result.Files.Changed : result.Files.Invalid);
    }

    private void AssertBackup(string name, string format, string chain)
    {
        _qemuImg.RunOk("check", "-q", "-f", "qcow2", PathOf("disk"));
        _qemuImg.RunOk("check", "-q", "-f", format, PathOf(name));
        using JsonDocument info = JsonDocument.Parse(_qemuImg.RunOk("info", "--backing-chain", "--output=json", "-f", format, PathOf(name)));
        Assert.Equal(chain.Split(' '), info.RootElement.EnumerateArray().Select(static image => Path.GetFileName(image.GetProperty("filename").GetString())));
        Assert.Equal("Images are identical.\n", _qemuImg.RunOk("compare", "-f", "raw", "-F", format, PathOf("flat"), PathOf(name)));
        _qemuIo.RunOk("-f", "qcow2", "-c", $"read -P 9 1M {GuestLength}", PathOf("disk"));
    }
}
