using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Storage;

namespace BlockLayer.TestKit.Hostile;

/// <summary>Small sound qcow2 images, one for each thing the format can hold, with the place of every number in them.</summary>
internal static class Qcow2Seeds
{
    private static readonly Lazy<IReadOnlyList<SeedImage>> s_all = new(Make);

    internal static IReadOnlyList<SeedImage> All => s_all.Value;

    private static List<SeedImage> Make() =>
    [
        Make("version 2, clusters of 512", new Qcow2CreateOptions { Length = 40_000, Version = 2, ClusterSize = 512 }),
        Make("version 3, 8-bit refcounts, compressed by zlib", new Qcow2CreateOptions { Length = 100 * 1024, ClusterSize = 1024, RefcountBits = 8 }, compressed: true),
        Make("64-bit refcounts, compressed by zstd", new Qcow2CreateOptions { Length = 300_000, ClusterSize = 2048, RefcountBits = 64, Compression = "zstd" }, compressed: true),
        Make("1-bit refcounts, a backing file", new Qcow2CreateOptions { Length = 200_000, ClusterSize = 512, RefcountBits = 1, Backing = new BackingReference("base", "raw") }),
        Make("extended L2 entries", new Qcow2CreateOptions { Length = 300_000, ClusterSize = 16384, ExtendedL2 = true }),
    ];

    private static SeedImage Make(string name, Qcow2CreateOptions options, bool compressed = false)
    {
        var files = new MeteredFiles();
        files.Put("/d/image", []);
        files.Put("/d/base", Pattern.Of(0, 100_000, writer: 9));
        var environment = new BlockEnvironment { Files = files, Work = InlineWorkScheduler.Instance, Time = new FrozenTime() };
        FillAsync(environment, options, compressed).GetAwaiter().GetResult();
        byte[] bytes = files.Get("/d/image").ToArray();
        return new SeedImage(name, bytes, Qcow2Fields.Of(bytes), ByteOrder.BigEndian, options.ClusterSize);
    }

    private static async Task FillAsync(BlockEnvironment environment, Qcow2CreateOptions options, bool compressed)
    {
        await using (var file = new StorageNode(await OpenFileAsync(environment).ConfigureAwait(false), environment))
        {
            await Qcow2Format.Instance.CreateAsync(file, options, CancellationToken.None).ConfigureAwait(false);
        }

        var opener = new ImageOpener(Images.BuiltInFormats.All, environment);
        BlockNode node = await opener.OpenAsync("/d/image", new ImageOpenOptions { Format = "qcow2", Access = NodeAccess.ReadWrite }).ConfigureAwait(false);
        await using (node.ConfigureAwait(false))
        {
            int cluster = options.ClusterSize;
            int written = (int)Math.Min(node.Length / 2, 6 * cluster);
            await node.WriteAsync(0, Pattern.Of(0, written, writer: 1)).ConfigureAwait(false);
            await node.WriteAsync(node.Length - 700, Pattern.Of(node.Length - 700, 700, writer: 2)).ConfigureAwait(false);
            if (options.Version == 3)
            {
                await node.WriteZeroesAsync(2 * cluster, cluster).ConfigureAwait(false);
                await node.WriteZeroesAsync(8 * cluster, cluster).ConfigureAwait(false);
            }

            if (compressed)
            {
                await node.WriteAsync(10 * cluster, new byte[4 * cluster], WriteFlags.Compressed).ConfigureAwait(false);
            }
        }
    }

    private static ValueTask<BlockStorage> OpenFileAsync(BlockEnvironment environment)
        => environment.Files.OpenAsync("/d/image", new StorageOpenOptions { Writable = true }, CancellationToken.None);
}
