using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Formats.Qcow2;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Snapshots;

/// <summary>
/// Refcounts that are one too low for what only snapshots use. The disk does not lead there, so who looks at the disk alone finds nothing wrong, and gives away what
/// a snapshot still shows.
/// </summary>
public sealed class SnapshotCoverageTests
{
    private const int ClusterSize = 4096;
    private const int Length = 1 << 20;
    private const int SectorLength = 512;

    private readonly TestWorld _world = new();

    public static TheoryData<string> Changes => ["delete", "delete the other", "create", "apply", "amend"];

    [Theory]
    [MemberData(nameof(Changes))]
    public async Task A_count_that_does_not_cover_all_snapshots_stops_every_change_of_tables(string change)
    {
        byte[] sound = await MakeAsync();
        int[] shared = [.. Enumerable.Range(0, sound.Length / ClusterSize).Where(cluster => Refcount(sound, cluster) == 2)];
        Assert.Equal(4, shared.Length); // an L2 table and three clusters of data, of both snapshots and not of the disk
        foreach (int cluster in shared)
        {
            DamagedImage image = new([.. sound]);
            image.File[image.RefcountBlock + (cluster * sizeof(ushort)) + 1] = 1;
            await _world.WriteFileAsync("image", image.File);
            await using (Qcow2Node node = await _world.OpenAsync("image"))
            {
                ImageFormatException refused = await Assert.ThrowsAsync<ImageFormatException>(() => ChangeAsync(node, change));
                Assert.Equal(BlockErrorKind.Corrupt, refused.Kind);
                Assert.StartsWith($"host cluster {cluster} is referred to 2 times or more, and its refcount says 1;", refused.Message, StringComparison.Ordinal);
                Assert.Equal(["1", "2"], (await node.ListSnapshotsAsync(CancellationToken.None)).Select(static snapshot => snapshot.Id));
            }

            byte[] after = await _world.ReadFileAsync("image");
            Assert.True(after.AsSpan(SectorLength).SequenceEqual(image.File.AsSpan(SectorLength)), "something besides the corrupt bit was written");
            Assert.True(Qcow2Header.Parse(after).HasFeature(IncompatibleFeatures.Corrupt));
        }
    }

    [Theory]
    [MemberData(nameof(Changes))]
    public async Task A_count_that_is_too_high_stops_nothing(string change)
    {
        byte[] sound = await MakeAsync();
        DamagedImage image = new([.. sound]);
        int cluster = Enumerable.Range(0, sound.Length / ClusterSize).First(cluster => Refcount(sound, cluster) == 2);
        image.File[image.RefcountBlock + (cluster * sizeof(ushort)) + 1] = 9;
        await _world.WriteFileAsync("image", image.File);
        await using Qcow2Node node = await _world.OpenAsync("image");
        await ChangeAsync(node, change);
        Assert.Equal(0, (await node.CheckAsync(progress: null, CancellationToken.None)).Corruptions);
    }

    private static async Task ChangeAsync(Qcow2Node node, string change)
    {
        switch (change)
        {
            case "delete": await node.DeleteSnapshotAsync("1", CancellationToken.None); break;
            case "delete the other": await node.DeleteSnapshotAsync("2", CancellationToken.None); break;
            case "create": await node.CreateSnapshotAsync("three", CancellationToken.None); break;
            case "apply": await node.ApplySnapshotAsync("1", CancellationToken.None); break;
            default: await node.AmendAsync(new Dictionary<string, string> { ["refcount_bits"] = "32" }, CancellationToken.None); break;
        }
    }

    /// <summary>Two snapshots of three clusters, which the disk has overwritten since.</summary>
    private async Task<byte[]> MakeAsync()
    {
        await _world.CreateAsync("image", new Qcow2CreateOptions { Length = Length, ClusterSize = ClusterSize });
        await using (Qcow2Node node = await _world.OpenAsync("image"))
        {
            await node.WriteAsync(0, Pattern.Of(0, 3 * ClusterSize, writer: 1));
            await node.CreateSnapshotAsync("one", CancellationToken.None);
            await node.CreateSnapshotAsync("two", CancellationToken.None);
            await node.WriteAsync(0, Pattern.Of(0, 3 * ClusterSize, writer: 2));
        }

        return await _world.ReadFileAsync("image");
    }

    private static int Refcount(byte[] file, int cluster)
    {
        long at = new DamagedImage(file).RefcountBlock + (cluster * sizeof(ushort));
        return (file[at] << 8) | file[at + 1];
    }
}
