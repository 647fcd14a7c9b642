using BlockLayer.Images;
using BlockLayer.Jobs;

namespace BlockLayer.Benchmarks.SideBySide;

/// <summary>
/// The jobs, over three images in one folder: a full raw base, a full qcow2 overlay on it, and small images that are made anew for each run. A commit leaves the base full, so the
/// next run overwrites what this one wrote.
/// </summary>
internal sealed class JobCases(string directory)
{
    private const string TopNode = "driver=qcow2,node-name=top,file.driver=file,file.filename=";
    private const string BaseNode = "driver=raw,node-name=base,read-only=on,file.driver=file,file.auto-read-only=on,file.filename=";

    /// <summary>A full raw image.</summary>
    internal string Base => Path.Combine(directory, "base.raw");

    private string Full => Path.Combine(directory, "full.qcow2");

    private string Small => Path.Combine(directory, "small.qcow2");

    /// <summary>Where copies of it go; made anew for each run.</summary>
    internal string Copy => Path.Combine(directory, "copy.qcow2");

    internal IEnumerable<JobCase> All =>
    [
        new JobCase("stream", Target: 3)
        {
            PrepareAsync = () => OverlayAsync(Small, Base, "raw"),
            Image = Small,
            StartAsync = async disk => await disk.StartPullAsync(),
            BlockDevices = [TopNode + Small],
            Command = """{"execute":"block-stream","arguments":{"job-id":"job","device":"top"}}""",
        },
        new JobCase("commit below the newest image", Target: 1)
        {
            PrepareAsync = () => OverlayAsync(Small, Full, "qcow2"),
            Image = Small,
            StartAsync = async disk => await disk.StartCommitAsync(new CommitOptions { TopName = Full, BaseName = Base }),
            BlockDevices =
            [
                BaseNode + Base,
                $"driver=qcow2,node-name=middle,read-only=on,backing=base,file.driver=file,file.auto-read-only=on,file.filename={Full}",
                $"{TopNode}{Small},backing=middle",
            ],
            Command = """{"execute":"block-commit","arguments":{"job-id":"job","device":"top","top-node":"middle","base-node":"base"}}""",
        },
        new JobCase("commit of the newest image", Target: 1)
        {
            PrepareAsync = () => Task.CompletedTask,
            Image = Full,
            StartAsync = async disk => await disk.StartCommitAsync(new ActiveCommitOptions()),
            BlockDevices = [BaseNode + Base, $"{TopNode}{Full},backing=base"],
            Command = """{"execute":"block-commit","arguments":{"job-id":"job","device":"top","base-node":"base"}}""",
            IsLive = true,
        },
        new JobCase("mirror", Target: 1)
        {
            PrepareAsync = CopyAsync,
            Image = Full,
            StartAsync = async disk => await disk.StartMirrorAsync(Copy, targetOptions: new DiskOptions { Format = "qcow2" }),
            BlockDevices = [TopNode + Full, $"driver=qcow2,node-name=copy,file.driver=file,file.filename={Copy}"],
            Command = """{"execute":"blockdev-mirror","arguments":{"job-id":"job","device":"top","target":"copy","sync":"full"}}""",
            IsLive = true,
        },
        new JobCase("backup", Target: 1)
        {
            PrepareAsync = CopyAsync,
            Image = Full,
            StartAsync = async disk => await disk.StartBackupAsync(Copy, targetOptions: new DiskOptions { Format = "qcow2" }),
            BlockDevices = [TopNode + Full, $"driver=qcow2,node-name=copy,file.driver=file,file.filename={Copy}"],
            Command = """{"execute":"blockdev-backup","arguments":{"job-id":"job","device":"top","target":"copy","sync":"full"}}""",
        },
    ];

    /// <summary>Makes what all of them have in common.</summary>
    internal async Task CreateAsync(long length)
    {
        await TestData.WriteRandomFileAsync(Base, length);
        await Tool.RunAsync("qemu-img", "convert", "-f", "raw", "-O", "qcow2", Base, Full);
        await Tool.RunAsync("qemu-img", "rebase", "-u", "-f", "qcow2", "-b", Base, "-F", "raw", Full);
    }

    private static async Task OverlayAsync(string path, string backing, string format)
    {
        File.Delete(path);
        await Tool.RunAsync("qemu-img", "create", "-q", "-f", "qcow2", "-b", backing, "-F", format, path);
    }

    private async Task CopyAsync()
    {
        File.Delete(Copy);
        await Tool.RunAsync("qemu-img", "create", "-q", "-f", "qcow2", Copy, $"{new FileInfo(Base).Length}");
    }
}
