using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Interop.Tests.LiveCopy;

/// <summary>Disks that qemu-img made, copied live or committed by us while a guest writes: qemu-img finds the results sound, and equal to what the guest wrote.</summary>
public sealed class LiveCopyInteropTests : IDisposable
{
    private const int Length = 8 << 20;
    private const int GuestLength = 100 * 1024;

    private readonly QemuTool _qemuImg = QemuTool.Require("qemu-img");
    private readonly QemuTool _qemuIo = QemuTool.Require("qemu-io");
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("qcow2", MirrorCopyMode.Background)]
    [InlineData("qcow2", MirrorCopyMode.WriteBlocking)]
    [InlineData("qed", MirrorCopyMode.Background)]
    [InlineData("raw", MirrorCopyMode.WriteBlocking)]
    public async Task A_copy_that_the_disk_goes_over_to(string format, MirrorCopyMode mode)
    {
        MakeChain("qcow2", "raw");
        await using (Disk disk = await OpenAsync("top"))
        {
            MirrorJob job = await disk.StartMirrorAsync(PathOf("copy"), new MirrorJobOptions { CopyMode = mode }, new NewImage { Format = format });
            await WriteAsync(disk, at: 1 << 20, value: 7);
            await job.WhenReadyAsync();
            await WriteAsync(disk, at: 3 << 20, value: 8);
            await job.CompleteWhenReadyAsync();
            await WriteAsync(disk, at: 5 << 20, value: 9);
        }

        AssertSound("copy", format);
        AssertHoldsGuest("copy", format, after: true);
    }

    [Fact]
    public async Task A_copy_of_the_newest_image_that_is_left_as_it_is()
    {
        MakeChain("qcow2", "qcow2");
        await using (Disk disk = await OpenAsync("top"))
        {
            MirrorJob job = await disk.StartMirrorAsync(PathOf("copy"), new MirrorJobOptions { Scope = MirrorScope.Top }, new NewImage { Format = "qcow2" });
            await WriteAsync(disk, at: 1 << 20, value: 7);
            await job.WhenReadyAsync();
            await WriteAsync(disk, at: 3 << 20, value: 8);
            job.Cancel();
            Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
            await WriteAsync(disk, at: 5 << 20, value: 9);
        }

        AssertSound("copy", "qcow2");
        AssertHoldsGuest("copy", "qcow2", after: false);
        AssertHoldsGuest("top", "qcow2", after: true);
        Assert.Contains("backing file: " + PathOf("base"), _qemuImg.RunOk("info", PathOf("copy")), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("raw")]
    [InlineData("qcow2")]
    public async Task A_base_that_the_disk_goes_over_to(string format)
    {
        MakeChain("qcow2", format);
        await using (Disk disk = await OpenAsync("top"))
        {
            ActiveCommitJob job = await disk.StartCommitAsync(new ActiveCommitOptions());
            await WriteAsync(disk, at: 1 << 20, value: 7);
            await job.WhenReadyAsync();
            await WriteAsync(disk, at: 3 << 20, value: 8);
            await job.CompleteWhenReadyAsync();
            await WriteAsync(disk, at: 5 << 20, value: 9);
        }

        AssertSound("base", format);
        AssertHoldsGuest("base", format, after: true);
        AssertSound("top", "qcow2");
    }

    private static Task WriteAsync(Disk disk, int at, byte value)
    {
        byte[] content = new byte[GuestLength];
        content.AsSpan().Fill(value);
        return disk.WriteAsync(at, content).AsTask();
    }

    private string PathOf(string name) => _folder.File(name);

    private ValueTask<Disk> OpenAsync(string name) => Disk.OpenAsync(PathOf(name), new DiskOptions { Format = "qcow2" });

    // base <- top, with a flat copy of what they show beside them.
    private void MakeChain(string format, string baseFormat)
    {
        _qemuImg.RunOk("create", "-q", "-f", baseFormat, PathOf("base"), $"{Length}");
        _qemuIo.RunOk("-f", baseFormat, "-c", "write -P 1 0 2M", "-c", "write -P 2 4M 1M", PathOf("base"));
        _qemuImg.RunOk("create", "-q", "-f", format, "-b", PathOf("base"), "-F", baseFormat, PathOf("top"));
        _qemuIo.RunOk("-f", format, "-c", "write -P 3 1536k 1M", "-c", "write -z 4500k 200k", PathOf("top"));
        _qemuImg.RunOk("convert", "-O", "raw", PathOf("top"), PathOf("flat"));
    }

    private void AssertSound(string name, string format)
    {
        if (format != "raw")
        {
            _qemuImg.RunOk("check", "-f", format, PathOf(name));
        }
    }

    private void AssertHoldsGuest(string name, string format, bool after)
    {
        string[] last = after ? ["-c", $"write -P 9 5M {GuestLength}"] : ["-c", $"write -P 0 7M 512"];
        string wanted = PathOf($"wanted-{after}");
        File.Copy(PathOf("flat"), wanted);
        _qemuIo.RunOk(["-f", "raw", "-c", $"write -P 7 1M {GuestLength}", "-c", $"write -P 8 3M {GuestLength}", .. last, wanted]);
        _qemuImg.RunOk("compare", "-f", "raw", "-F", format, wanted, PathOf(name));
    }
}
