using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Simulation;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Jobs;

/// <summary>Every job, one after the other, on a chain of images of each kind: the disk reads the same after each of them, and when its files are opened anew.</summary>
public sealed class JobImageTests : IDisposable
{
    private const int Length = 1 << 20;
    private const int Cluster = 64 << 10;

    private readonly SimulatedMachine _machine = new();
    private readonly Passphrase _passphrase = Passphrase.FromText("secret");

    public void Dispose() => _passphrase.Dispose();

    [Theory]
    [InlineData("qcow2", "compat=0.10")]
    [InlineData("qcow2", "extended_l2=on")]
    [InlineData("qcow2", "data_file=*.data")]
    [InlineData("qcow2", "encrypt.format=aes")]
    [InlineData("qed", "cluster_size=4096")]
    public void Jobs_leave_a_disk_as_it_was_whatever_its_images_are(string format, string option)
        => _machine.Run(async () =>
        {
            await CreateAsync("/a", format, option, below: null, from: 0);
            await CreateAsync("/b", format, option, "/a", from: 4);
            await CreateAsync("/c", format, option, "/b", from: 8);
            await CreateAsync("/backup", format, option, below: null, from: -1);
            byte[] expected;
            await using (Disk disk = await OpenAsync("/c", format))
            {
                await disk.DiscardAsync(6 * Cluster, Cluster);
                await disk.WriteZeroesAsync((9 * Cluster) + 512, 1024);
                expected = await ReadAsync(disk);
                await EndAsync(disk, await disk.StartBackupAsync("/backup", targetOptions: As(format)), expected);
                await EndAsync(disk, await disk.StartCommitAsync(new CommitOptions { Top = disk.Chain[1] }), expected);
                await disk.SwitchAsync("/d");
                await disk.WriteAsync(12 * Cluster, SectorStamp.Of(12 * Cluster, 512, 7));
                expected = await ReadAsync(disk);
                ActiveCommitJob commit = await disk.StartCommitAsync(new ActiveCommitOptions { Base = disk.Chain[1], CopyMode = MirrorCopyMode.WriteBlocking });
                await commit.WhenReadyAsync();
                await disk.WriteAsync(13 * Cluster, SectorStamp.Of(13 * Cluster, 512, 8));
                expected = await ReadAsync(disk);
                commit.Complete();
                await EndAsync(disk, commit, expected);
                Assert.Equal(["/c", "/a"], disk.Chain.Select(static image => image.Path));
            }

            await using (Disk disk = await OpenAsync("/c", format))
            {
                Assert.Equal(expected, await ReadAsync(disk));
                await EndAsync(disk, await disk.StartPullAsync(), expected);
                MirrorJob mirror = await disk.StartMirrorAsync("/backup", targetOptions: As(format));
                await mirror.WhenReadyAsync();
                await disk.DiscardAsync(3 * Cluster, Cluster);
                await disk.WriteAsync(14 * Cluster, SectorStamp.Of(14 * Cluster, 512, 9));
                expected = await ReadAsync(disk);
                mirror.Complete();
                await EndAsync(disk, mirror, expected);
            }

            await using Disk copy = await OpenAsync("/backup", format);
            Assert.Equal(expected, await ReadAsync(copy));
            Assert.Single(copy.Chain);
        });

    [Fact]
    public void A_disk_that_is_open_read_only_is_saved_and_copied_and_stays_read_only()
        => _machine.Run(async () =>
        {
            await CreateAsync("/a", "qcow2", "compat=1.1", below: null, from: 0);
            await CreateAsync("/backup", "qcow2", "compat=1.1", below: null, from: -1);
            await using Disk disk = await Disk.OpenAsync("/a", As("qcow2") with { Access = NodeAccess.ReadOnly });
            byte[] expected = await ReadAsync(disk);
            await EndAsync(disk, await disk.StartBackupAsync("/backup", targetOptions: As("qcow2")), expected);
            MirrorJob mirror = await disk.StartMirrorAsync("/copy", create: new NewImage { Format = "qcow2" });
            await mirror.WhenReadyAsync();
            mirror.Complete();
            await EndAsync(disk, mirror, expected);
            Assert.True(disk.IsReadOnly);
            await Assert.ThrowsAsync<Errors.BlockLayerException>(() => disk.WriteAsync(0, new byte[512]).AsTask());
        });

    private DiskOptions As(string format) => _machine.As(format) with { Secrets = new ImageSecrets(_passphrase) };

    private ValueTask<Disk> OpenAsync(string path, string format) => Disk.OpenAsync(path, As(format));

    private async Task CreateAsync(string path, string format, string option, string? below, int from)
    {
        string[] pair = option.Split('=');
        var image = new NewImage
        {
            Format = format,
            Length = Length,
            Backing = below is null ? null : new BackingReference(below, format),
            Options = new Dictionary<string, string> { [pair[0]] = pair[1].Replace("*", path[1..], StringComparison.Ordinal) },
            Secrets = new ImageSecrets(_passphrase),
        };
        await using Disk disk = await Disk.CreateAsync(path, image, As(format));
        if (from >= 0)
        {
            await disk.WriteAsync((from * Cluster) + 1024, SectorStamp.Of((from * Cluster) + 1024, 5 * Cluster, from + 1));
        }
    }

    private static async Task EndAsync(Disk disk, BlockJob job, byte[] expected)
    {
        JobResult result = await job.Completion;
        Assert.True(result.Outcome == JobOutcome.Completed, $"{job}: {result.Error}");
        Assert.Equal(expected, await ReadAsync(disk));
    }

    private static async Task<byte[]> ReadAsync(Disk disk)
    {
        byte[] all = new byte[disk.Length];
        await disk.ReadAsync(0, all);
        return all;
    }
}
