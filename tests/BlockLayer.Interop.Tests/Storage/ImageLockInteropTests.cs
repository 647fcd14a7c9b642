using System.Globalization;
using BlockLayer.Errors;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Interop.Tests.Storage;

/// <summary>Our image locks and those of qemu-io exclude each other, in both directions, and let in what QEMU's own programs let in.</summary>
public sealed class ImageLockInteropTests : IDisposable
{
    private readonly QemuTool _qemuImg = QemuTool.Require("qemu-img");
    private readonly QemuTool _qemuIo = QemuTool.Require("qemu-io");
    private readonly TemporaryFolder _folder = new();
    private readonly string _base;
    private readonly string _top;
    private readonly string _raw;

    public ImageLockInteropTests()
    {
        Assert.SkipUnless(LinuxPlatform.IsSupported, "QEMU's image locks are taken on Linux only");
        _base = _folder.File("base.qcow2");
        _top = _folder.File("top.qcow2");
        _raw = _folder.File("disk.raw");
        _qemuImg.RunOk("create", "-q", "-f", "qcow2", _base, "1M");
        _qemuImg.RunOk("create", "-q", "-f", "qcow2", "-b", _base, "-F", "qcow2", _top);
        _qemuImg.RunOk("create", "-q", "-f", "raw", _raw, "1M");
    }

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Image_we_write_is_refused_by_qemu()
    {
        await using (await OpenAsync(_top, ImageLock.Writer))
        {
            AssertRefused(_qemuIo.Run("-f", "qcow2", "-c", "length", _top), "\"write\"");
            AssertRefused(_qemuIo.Run("-r", "-f", "qcow2", "-c", "length", _top), "shared \"write\"");
            AssertRefused(_qemuImg.Run("info", "-f", "qcow2", _top), "shared \"write\"");
            Assert.Equal(0, _qemuImg.Run("info", "--force-share", "-f", "qcow2", _top).ExitCode);
        }

        Assert.Equal(0, _qemuIo.Run("-f", "qcow2", "-c", "length", _top).ExitCode);
    }

    [Fact]
    public async Task Image_that_qemu_writes_is_refused_to_us()
    {
        using (new OpenInQemuIo("-f", "qcow2", _top))
        {
            await AssertConflictAsync(_top, ImageLock.Writer);
            await AssertConflictAsync(_top, ImageLock.Reader);
        }

        await (await OpenAsync(_top, ImageLock.Writer)).DisposeAsync();
    }

    [Fact]
    public async Task Backing_file_in_use_by_qemu_can_be_read_but_not_written()
    {
        using var qemu = new OpenInQemuIo("-f", "qcow2", _top);

        await (await OpenAsync(_base, ImageLock.Reader)).DisposeAsync();
        await AssertConflictAsync(_base, ImageLock.Writer);
    }

    [Fact]
    public async Task Backing_file_that_we_read_can_be_read_by_qemu_but_not_written()
    {
        await using BlockStorage reader = await OpenAsync(_base, ImageLock.Reader);

        Assert.Equal(0, _qemuIo.Run("-f", "qcow2", "-c", "write 0 64k", _top).ExitCode);
        Assert.Equal(0, _qemuIo.Run("-r", "-f", "qcow2", "-c", "length", _base).ExitCode);
        AssertRefused(_qemuIo.Run("-f", "qcow2", "-c", "length", _base), "\"write\"");
    }

    [Fact]
    public async Task Raw_image_is_never_written_by_both()
    {
        using (new OpenInQemuIo("-f", "raw", _raw))
        {
            await AssertConflictAsync(_raw, ImageLock.Writer);
        }

        await using BlockStorage writer = await OpenAsync(_raw, ImageLock.Writer);
        AssertRefused(_qemuIo.Run("-f", "raw", "-c", "length", _raw), "\"write\"");
    }

    [Fact]
    public async Task Our_locks_are_the_bytes_that_qemu_locks()
    {
        SortedSet<long> writer;
        SortedSet<long> reader;
        using (new OpenInQemuIo("-f", "qcow2", _top))
        {
            writer = LockedBytes(_top);
            reader = LockedBytes(_base);
        }

        Assert.Empty(LockedBytes(_top));
        await using BlockStorage ours = await OpenAsync(_top, ImageLock.Writer);
        await using BlockStorage backing = await OpenAsync(_base, ImageLock.Reader);

        Assert.NotEmpty(reader);
        Assert.Equal(writer, LockedBytes(_top));
        Assert.Equal(reader, LockedBytes(_base));
    }

    private static ValueTask<BlockStorage> OpenAsync(string path, ImageLock imageLock)
        => LocalStorageProvider.Instance.OpenAsync(
            path, new StorageOpenOptions { Writable = imageLock == ImageLock.Writer, Lock = imageLock }, CancellationToken.None);

    private static async Task AssertConflictAsync(string path, ImageLock imageLock)
    {
        var error = await Assert.ThrowsAsync<BlockLayerException>(async () => await OpenAsync(path, imageLock));
        Assert.Equal(BlockErrorKind.Conflict, error.Kind);
        Assert.Contains("Somebody else has the image open", error.Message, StringComparison.Ordinal);
        Assert.Equal(path, error.Path);
    }

    private static void AssertRefused(QemuResult result, string lockName)
    {
        Assert.Equal(1, result.ExitCode);
        Assert.Contains($"Failed to get {lockName} lock", result.Error, StringComparison.Ordinal);
    }

    /// <summary>The bytes of a file on which somebody holds an open-file-description lock, from /proc/locks: "1: OFDLCK ADVISORY READ -1 fe:00:123 100 101".</summary>
    private static SortedSet<long> LockedBytes(string path)
    {
        var bytes = new SortedSet<long>();
        string inode = LocalStorageProvider.Instance.GetInfo(path)!.Identity.Inode.ToString(CultureInfo.InvariantCulture);
        foreach (string line in File.ReadLines("/proc/locks"))
        {
            string[] fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (fields[1] == "OFDLCK" && fields[5].EndsWith(":" + inode, StringComparison.Ordinal))
            {
                long first = long.Parse(fields[6], CultureInfo.InvariantCulture);
                long last = long.Parse(fields[7], CultureInfo.InvariantCulture);
                for (long at = first; at <= last; at++)
                {
                    bytes.Add(at);
                }
            }
        }

        return bytes;
    }
}
