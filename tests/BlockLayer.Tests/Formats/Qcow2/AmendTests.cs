using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2;

public sealed class AmendTests
{
    private const int ClusterSize = 1024;
    private const int Length = 150 * ClusterSize;

    private readonly TestWorld _world = new();
    private readonly byte[] _backing = Pattern.Of(0, Length, writer: 99);

    [Theory]
    [InlineData(2, false)]
    [InlineData(2, true)]
    [InlineData(3, false)]
    [InlineData(3, true)]
    public async Task An_image_reads_the_same_in_every_version_and_width(int version, bool overBacking)
    {
        await using Qcow2Node node = await CreateAsync(new Qcow2CreateOptions { Length = Length, ClusterSize = ClusterSize, Version = version }, overBacking);
        byte[] first = await WriteAsync(node, writer: 1);
        await node.CreateSnapshotAsync("first", CancellationToken.None);
        byte[] second = await WriteAsync(node, writer: 2);
        foreach (string change in new[] { "compat=1.1", "refcount_bits=8", "refcount_bits=64", "refcount_bits=2", "lazy_refcounts=on", "refcount_bits=16", "compat=0.10", "compat=1.1" })
        {
            await AmendAsync(node, change);
            await AssertSoundAsync(node, change);
            Assert.Equal(second, await ReadAsync(node));
            Assert.Equal(first, await ReadSnapshotAsync(overBacking));
        }

        Assert.Equal((3, CompatibleFeatures.None, 4), (node.Header.Version, node.Header.Compatible, node.Header.RefcountOrder));
        await WriteAsync(node, writer: 3);
        Assert.Equal(first, await ReadSnapshotAsync(overBacking));
        await AssertSoundAsync(node, "writing on");
    }

    [Theory]
    [InlineData(512, 10)]
    [InlineData(512, 360)]
    [InlineData(4096, 20)]
    [InlineData(4096, 450)]
    [InlineData(4096, 1023)]
    public async Task The_name_of_the_backing_file_moves_out_of_the_way(int clusterSize, int nameLength)
    {
        var backing = new BackingReference(new string('b', nameLength), "qcow2");
        foreach (int version in new[] { 2, 3 })
        {
            await _world.CreateAsync("disk", new Qcow2CreateOptions { Length = Length, ClusterSize = clusterSize, Version = version, Backing = backing });
            await using Qcow2Node node = await _world.OpenAsync("disk");
            foreach (string change in new[] { "compat=1.1", "compat=0.10", "compat=1.1", "compat=0.10" })
            {
                await AmendAsync(node, change);
                await using Qcow2Node reopened = await _world.OpenAsync("disk", NodeAccess.ReadOnly);
                Assert.Equal((change == "compat=1.1" ? 3 : 2, backing), (reopened.Header.Version, reopened.BackingReference));
            }
        }
    }

    [Fact]
    public async Task Counts_that_do_not_fit_a_narrower_width_refuse_it_and_lose_nothing()
    {
        await using Qcow2Node node = await CreateAsync(new Qcow2CreateOptions { Length = Length, ClusterSize = ClusterSize });
        byte[] content = await WriteAsync(node, writer: 1);
        await node.CreateSnapshotAsync("one", CancellationToken.None);
        BlockLayerException refused = await Assert.ThrowsAsync<BlockLayerException>(() => AmendAsync(node, "refcount_bits=1"));
        Assert.Equal(BlockErrorKind.Unsupported, refused.Kind);
        Assert.Equal(content, await ReadAsync(node));
        await node.DeleteSnapshotAsync("one", CancellationToken.None);
        await AmendAsync(node, "refcount_bits=1");
        await AssertSoundAsync(node, "one bit");
    }

    [Theory]
    [InlineData("q7-extl2.qcow2", "it has extended L2 entries")]
    [InlineData("q7-zstd.qcow2", "Clusters are compressed with Zstd")]
    [InlineData("q7-bitmap.qcow2", "it has bitmaps; remove them first")]
    public async Task What_version_2_cannot_say_refuses_it(string name, string why)
    {
        await using (StorageNode file = await _world.OpenFileAsync("disk", BlockLayer.Storage.StorageOpenMode.CreateOrTruncate))
        {
            byte[] image = await File.ReadAllBytesAsync(GoldenImages.Get(name).Path);
            await file.ResizeAsync(image.Length);
            await file.WriteAsync(0, image);
        }

        await using Qcow2Node node = await _world.OpenAsync("disk");
        BlockLayerException refused = await Assert.ThrowsAsync<BlockLayerException>(() => AmendAsync(node, "compat=0.10"));
        Assert.Equal(BlockErrorKind.Unsupported, refused.Kind);
        Assert.Contains(why, refused.Message, StringComparison.Ordinal);
        Assert.Equal(3, node.Header.Version);
    }

    private static Task AmendAsync(Qcow2Node node, string change)
        => ImageAmender.AmendAsync(node, new Dictionary<string, string> { [change.Split('=')[0]] = change.Split('=')[1] }).AsTask();

    private async Task<Qcow2Node> CreateAsync(Qcow2CreateOptions options, bool overBacking = false)
    {
        await _world.CreateAsync("disk", options with { Backing = overBacking ? new BackingReference("base", "raw") : null });
        Qcow2Node node = await _world.OpenAsync("disk");
        if (overBacking)
        {
            node.AttachBacking(await _world.CreateRawAsync("base", _backing));
        }

        return node;
    }

    /// <summary>Data, compressed clusters, and zeroes of every kind the version has.</summary>
    private static async Task<byte[]> WriteAsync(Qcow2Node node, int writer)
    {
        await node.WriteAsync(0, Pattern.Of(0, Length / 3, writer));
        await node.WriteAsync(20 * ClusterSize, new byte[ClusterSize], WriteFlags.Compressed);
        await node.WriteZeroesAsync((5 + writer) * ClusterSize, 6 * ClusterSize);
        await node.WriteZeroesAsync((30 + writer) * ClusterSize, 6 * ClusterSize, ZeroFlags.MayUnmap);
        await node.WriteZeroesAsync((100 + writer) * ClusterSize, 6 * ClusterSize, ZeroFlags.MayUnmap);
        return await ReadAsync(node);
    }

    private async Task<byte[]> ReadSnapshotAsync(bool overBacking)
    {
        await using Qcow2Node shown = await _world.OpenSnapshotAsync("disk", "first");
        if (overBacking)
        {
            shown.AttachBacking(await _world.CreateRawAsync("base", _backing));
        }

        return await ReadAsync(shown);
    }

    private static async Task<byte[]> ReadAsync(BlockNode node)
    {
        byte[] found = new byte[node.Length];
        await node.ReadAsync(0, found);
        return found;
    }

    private static async Task AssertSoundAsync(Qcow2Node node, string after)
    {
        ImageCheckReport report = await node.CheckAsync(progress: null, CancellationToken.None);
        Assert.True(report is { Corruptions: 0, Leaks: 0 }, $"after {after}: {string.Join('\n', report.Findings)}");
    }
}
