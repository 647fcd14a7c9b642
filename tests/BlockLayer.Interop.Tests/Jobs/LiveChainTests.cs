using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Interop.Tests.Pull;
using BlockLayer.Jobs;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Interop.Tests.Jobs;

/// <summary>Jobs inside chains that qemu-img made: afterwards qemu-img follows the chain, checks every image of it and reads what it read before.</summary>
public sealed class LiveChainTests : IDisposable
{
    private const int MiB = 1 << 20;

    private static readonly Dictionary<string, QemuImage[]> s_chains = new()
    {
        ["qcow2 over qcow2 over qcow2 over raw, growing"] =
        [
            new("template.raw", "raw", 2 * MiB),
            new("first.qcow2", "qcow2", 3 * MiB, "cluster_size=4k"),
            new("second.qcow2", "qcow2", 4 * MiB),
            new("current.qcow2", "qcow2", 6 * MiB, "cluster_size=16k"),
        ],
        ["mixed, in different directories"] =
        [
            new("templates/template.qcow2", "qcow2", 4 * MiB, "cluster_size=2M"),
            new("middle/first.qed", "qed", 4 * MiB, "cluster_size=16k,table_size=2"),
            new("middle/second.qcow2", "qcow2", 4 * MiB, "compat=0.10,cluster_size=8k"),
            new("guests/current.qed", "qed", 4 * MiB, "cluster_size=32k"),
        ],
        ["images that are shorter in the middle"] =
        [
            new("template.qcow2", "qcow2", 8 * MiB),
            new("first.qcow2", "qcow2", (3 * MiB) + 512, "cluster_size=512"),
            new("second.qcow2", "qcow2", (2 * MiB) + 1024, "cluster_size=64k"),
            new("current.qcow2", "qcow2", 6 * MiB),
        ],
        ["a base over another"] =
        [
            new("template.raw", "raw", 4 * MiB),
            new("base.qcow2", "qcow2", 4 * MiB, "extended_l2=on,cluster_size=64k"),
            new("second.qcow2", "qcow2", 4 * MiB, "lazy_refcounts=on"),
            new("current.qcow2", "qcow2", 4 * MiB),
        ],
    };

    private readonly TemporaryFolder _folder = new();

    public static TheoryData<string> Chains => [.. s_chains.Keys];

    [Theory]
    [MemberData(nameof(Chains))]
    public async Task A_commit_below_the_newest_image(string name)
    {
        QemuImage[] images = s_chains[name];
        int lowest = name.StartsWith("a base", StringComparison.Ordinal) ? 1 : 0;
        var chain = new QemuChain(_folder, images);
        await RunAsync(chain, disk => disk.StartCommitAsync(new CommitOptions { TopName = Path(images[2]), BaseName = Path(images[lowest]) }));

        Assert.Equal(chain.Expect([images[3], .. images[..(lowest + 1)].Reverse()]), chain.FollowWithQemu());
        AssertChecked(images[lowest]);
        AssertGoesOn(chain);
    }

    [Theory]
    [MemberData(nameof(Chains))]
    public async Task A_pull_into_an_image_below_the_newest(string name)
    {
        QemuImage[] images = s_chains[name];
        var chain = new QemuChain(_folder, images);
        await RunAsync(chain, disk => disk.StartPullAsync(new StreamOptions { TopName = Path(images[2]), BaseName = Path(images[0]) }));

        Assert.Equal(chain.Expect(images[3], images[2], images[0]), chain.FollowWithQemu());
        AssertChecked(images[2]);
        AssertGoesOn(chain);
    }

    [Theory]
    [MemberData(nameof(Chains))]
    public async Task A_rebase_onto_a_template_that_differs(string name)
    {
        QemuImage[] images = s_chains[name];
        var chain = new QemuChain(_folder, images);
        var next = new QemuImage("templates-2/other.qcow2", "qcow2", 3 * MiB, "cluster_size=4k");
        Directory.CreateDirectory(_folder.File("templates-2"));
        QemuTool.Require("qemu-img").RunOk("create", "-q", "-f", next.Format, "-o", next.Options, Path(next), "3M");
        QemuTool.Require("qemu-io").RunOk("-f", next.Format, "-c", "write -P 16 0 900k", "-c", "write -P 77 1M 1M", Path(next));
        var how = new DiskOptions { Policy = OpenPolicy.Default with { AllowedRoots = [_folder.Path] } };
        await RunAsync(chain, disk => disk.StartRebaseAsync(Path(next), backingOptions: how));

        Assert.Equal(chain.Expect(images[3], next), chain.FollowWithQemu());
        AssertGoesOn(chain);
    }

    [Theory]
    [InlineData("qcow2")]
    [InlineData("qed")]
    public async Task Overlays_put_on_two_disks_at_one_moment(string format)
    {
        QemuImage[] one = [new("one/base.raw", "raw", 4 * MiB), new("one/disk.qcow2", "qcow2", 4 * MiB)];
        QemuImage[] two = [new("two/disk.qed", "qed", 2 * MiB)];
        QemuImage[] overlays = [new("one/overlay", format, 4 * MiB), new("two-overlays/overlay", format, 2 * MiB)];
        var first = new QemuChain(_folder, one);
        first.KeepFlattenedAs("first");
        var second = new QemuChain(_folder, two);
        Directory.CreateDirectory(_folder.File("two-overlays"));
        var how = new DiskOptions { Policy = OpenPolicy.Default with { AllowedRoots = [_folder.Path] } };
        await using (Disk disk = await Disk.OpenAsync(first.Current, how))
        {
            await using Disk other = await Disk.OpenAsync(second.Current, how);
            var options = new OverlayOptions { Format = format };
            await DiskSnapshot.TakeAsync([new DiskOverlay(disk, Path(overlays[0]), options), new DiskOverlay(other, Path(overlays[1]), options)]);
            AssertChecked(one[1]); // QEMU's programs may read it from now on
            AssertChecked(two[0]);
            await other.WriteAsync(300 * 1024, Enumerable.Repeat((byte)99, 100 * 1024).ToArray());
        }

        QemuTool qemuImg = QemuTool.Require("qemu-img");
        Assert.Equal("Images are identical.\n", qemuImg.RunOk("compare", "-f", "raw", "-F", format, _folder.File("first"), Path(overlays[0])));
        QemuTool.Require("qemu-io").RunOk("-f", "raw", "-c", "write -P 99 300k 100k", second.Flattened);
        Assert.Equal("Images are identical.\n", qemuImg.RunOk("compare", "-f", "raw", "-F", format, second.Flattened, Path(overlays[1])));
        Assert.Equal(
            [.. overlays.Take(1).Concat(one.Reverse()).Select(image => $"{Path(image)} {image.Format}")],
            first.FollowWithQemu(Path(overlays[0]), format));
        AssertChecked(overlays[0]);
        AssertChecked(overlays[1]);
    }

    public void Dispose() => _folder.Dispose();

    // A guest writes what qemu-io writes to what the chain is compared with.
    private async Task RunAsync<T>(QemuChain chain, Func<Disk, ValueTask<T>> start)
        where T : BlockJob
    {
        var options = new DiskOptions { Policy = OpenPolicy.Default with { AllowedRoots = [_folder.Path] } };
        await using Disk disk = await Disk.OpenAsync(chain.Current, options);
        BlockNode[] before = [.. disk.Chain];
        T job = await start(disk);
        await disk.WriteAsync(300 * 1024, Enumerable.Repeat((byte)99, 100 * 1024).ToArray());
        await disk.WriteZeroesAsync(1000 * 1024, 100 * 1024);
        JobResult result = await job.Completion;
        Assert.True(result.Outcome == JobOutcome.Completed, result.Error?.ToString());
        Assert.All(disk.Chain.Skip(1), image => Assert.True(image.IsReadOnly, $"'{image.NodeName}' is still writable"));
        string[] accountedFor = [.. result.Files.Needed, .. result.Files.Unneeded, .. result.Files.Invalid];
        Assert.Subset(accountedFor.ToHashSet(), before.Skip(job is StreamJob ? 1 : 0).Select(image => image.Path!).ToHashSet());
        Assert.Distinct(accountedFor);
        foreach (string command in new[] { "write -P 99 300k 100k", "write -z 1000k 100k" })
        {
            QemuTool.Require("qemu-io").RunOk("-f", "raw", "-c", command, chain.Flattened);
        }
    }

    private string Path(QemuImage image) => _folder.File(image.Path);

    private void AssertChecked(QemuImage image)
    {
        if (image.Format != "raw")
        {
            QemuResult check = QemuTool.Require("qemu-img").Run("check", "-f", image.Format, Path(image));
            Assert.True(check.ExitCode == 0, $"{check.ExitCode}: {check.Output}{check.Error}");
        }
    }

    private static void AssertGoesOn(QemuChain chain)
    {
        chain.AssertCheckedAndIdentical();
        chain.WriteWithQemu("write -P 200 100k 300k");
        chain.WriteWithQemu("write -z 700k 64k");
        chain.AssertCheckedAndIdentical();
    }
}
