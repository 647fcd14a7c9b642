using System.Buffers.Binary;
using BlockLayer.Formats.Qed;
using BlockLayer.Graph;

namespace BlockLayer.TestKit.Hostile;

/// <summary>Small sound QED images with the place of every number in them. qed_spec, "Header" and "Tables".</summary>
internal static class QedSeeds
{
    private const int ClusterSize = 4096;

    private static readonly FieldSpot[] s_header =
    [
        new(4, 4, "cluster_size"), new(8, 4, "table_size"), new(12, 4, "header_size"), new(16, 8, "features"), new(24, 8, "compat_features"),
        new(32, 8, "autoclear_features"), new(40, 8, "l1_table_offset"), new(48, 8, "image_size"), new(56, 4, "backing_filename_offset"), new(60, 4, "backing_filename_size"),
    ];

    private static readonly Lazy<IReadOnlyList<SeedImage>> s_all = new(static () =>
    [
        Make("alone", backing: null, needsCheck: false),
        Make("needs a check", backing: null, needsCheck: true),
        Make("with a backing file", new BackingReference("base", "raw"), needsCheck: false),
    ]);

    internal static IReadOnlyList<SeedImage> All => s_all.Value;

    private static SeedImage Make(string name, BackingReference? backing, bool needsCheck)
    {
        var options = new QedCreateOptions { Length = 5 << 20, ClusterSize = ClusterSize, TableSize = 2, Backing = backing };
        byte[] image = SeedWorld.Make(QedFormat.Instance, options, FillAsync, out _);
        image[16] |= needsCheck ? (byte)QedFeatures.NeedCheck : (byte)0;
        return new SeedImage(name, image, FieldsOf(image), ByteOrder.LittleEndian, ClusterSize);
    }

    private static async Task FillAsync(BlockNode node)
    {
        await node.WriteAsync(0, Pattern.Of(0, 4 * ClusterSize, writer: 1)).ConfigureAwait(false);
        await node.WriteZeroesAsync(8 * ClusterSize, ClusterSize).ConfigureAwait(false);
        await node.WriteAsync(node.Length - 5000, Pattern.Of(node.Length - 5000, 5000, writer: 2)).ConfigureAwait(false);
    }

    private static List<FieldSpot> FieldsOf(byte[] image)
    {
        List<FieldSpot> fields = [.. s_header];
        var header = QedHeader.Parse(image);
        for (int i = 0; i < 4; i++)
        {
            int at = (int)header.L1TableOffset + (L2Entry.Size * i);
            fields.Add(new FieldSpot(at, L2Entry.Size, "L1 entry"));
            long table = BinaryPrimitives.ReadInt64LittleEndian(image.AsSpan(at));
            for (int j = 0; table != 0 && j < 24; j++)
            {
                fields.Add(new FieldSpot((int)table + (L2Entry.Size * j), L2Entry.Size, "L2 entry"));
            }
        }

        return fields;
    }
}
