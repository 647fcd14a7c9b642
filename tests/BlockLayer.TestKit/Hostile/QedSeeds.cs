using System.Buffers.Binary;
using BlockLayer.Formats.Qed;
using BlockLayer.Graph;
using BlockLayer.Storage;

namespace BlockLayer.TestKit.Hostile;

/// <summary>Small sound QED images with the place of every number in them. qed_spec, "Header" and "Tables".</summary>
internal static class QedSeeds
{
    private static readonly FieldSpot[] s_header =
    [
        new(4, 4, "cluster_size"), new(8, 4, "table_size"), new(12, 4, "header_size"), new(16, 8, "features"), new(24, 8, "compat_features"),
        new(32, 8, "autoclear_features"), new(40, 8, "l1_table_offset"), new(48, 8, "image_size"), new(56, 4, "backing_filename_offset"), new(60, 4, "backing_filename_size"),
    ];

    private static readonly Lazy<IReadOnlyList<SeedImage>> s_all = new(Make);

    internal static IReadOnlyList<SeedImage> All => s_all.Value;

    private static List<SeedImage> Make() =>
    [
        Make("alone", backing: null, needsCheck: false),
        Make("needs a check", backing: null, needsCheck: true),
        Make("with a backing file", new BackingReference("base", "raw"), needsCheck: false),
    ];

    private static SeedImage Make(string name, BackingReference? backing, bool needsCheck)
    {
        const int Cluster = 4096;
        var files = new MeteredFiles();
        files.Put("/d/image", []);
        files.Put("/d/base", Pattern.Of(0, 100_000, writer: 9));
        var environment = new BlockEnvironment { Files = files, Work = InlineWorkScheduler.Instance, Time = new FrozenTime() };
        FillAsync(environment, new QedCreateOptions { Length = 5 << 20, ClusterSize = Cluster, TableSize = 2, Backing = backing }).GetAwaiter().GetResult();
        byte[] bytes = files.Get("/d/image").ToArray();
        bytes[16] |= needsCheck ? (byte)QedFeatures.NeedCheck : (byte)0;

        List<FieldSpot> fields = [.. s_header];
        var header = QedHeader.Parse(bytes);
        for (int i = 0; i < 4; i++)
        {
            int at = (int)header.L1TableOffset + (8 * i);
            fields.Add(new FieldSpot(at, 8, "L1 entry"));
            long table = BinaryPrimitives.ReadInt64LittleEndian(bytes.AsSpan(at));
            for (int j = 0; table != 0 && j < 24; j++)
            {
                fields.Add(new FieldSpot((int)table + (8 * j), 8, "L2 entry"));
            }
        }

        return new SeedImage(name, bytes, fields, ByteOrder.LittleEndian, Cluster);
    }

    private static async Task FillAsync(BlockEnvironment environment, QedCreateOptions options)
    {
        BlockStorage storage = await environment.Files.OpenAsync("/d/image", new StorageOpenOptions { Writable = true }, CancellationToken.None).ConfigureAwait(false);
        await using (var file = new StorageNode(storage, environment))
        {
            await QedFormat.Instance.CreateAsync(file, options, CancellationToken.None).ConfigureAwait(false);
        }

        var opener = new ImageOpener(Images.BuiltInFormats.All, environment);
        BlockNode node = await opener.OpenAsync("/d/image", new ImageOpenOptions { Format = "qed", Access = NodeAccess.ReadWrite }).ConfigureAwait(false);
        await using (node.ConfigureAwait(false))
        {
            await node.WriteAsync(0, Pattern.Of(0, 4 * options.ClusterSize, writer: 1)).ConfigureAwait(false);
            await node.WriteZeroesAsync(8 * options.ClusterSize, options.ClusterSize).ConfigureAwait(false);
            await node.WriteAsync(node.Length - 5000, Pattern.Of(node.Length - 5000, 5000, writer: 2)).ConfigureAwait(false);
        }
    }
}
