using BlockLayer.Formats.CowOverlay;
using BlockLayer.Graph;

namespace BlockLayer.TestKit.Hostile;

/// <summary>Small sound add-cow files with the place of every number in them, as the table in the format's README has them.</summary>
internal static class CowOverlaySeeds
{
    private const int ClusterSize = 4096;

    private static readonly FieldSpot[] s_header =
    [
        new(4, 4, "backing_filename offset"), new(8, 4, "backing_filename size"), new(12, 4, "image_filename offset"), new(16, 4, "image_filename size"),
        new(20, 4, "cluster_bits"), new(24, 8, "features"), new(32, 8, "compatible_features"), new(40, 4, "header_size"), new(44, 8, "backing_format"), new(60, 8, "image_format"),
        new(3584, 8, "record magic"), new(3592, 4, "record length"), new(3596, 4, "record flags"), new(3600, 8, "record, image length"), new(3608, 8, "record, base length"),
        new(3616, 8, "record, base identity"), new(3680, 8, "record, bitmap checksum"), new(3712, 8, "record checksum"),
    ];

    private static readonly Lazy<IReadOnlyList<(SeedImage Seed, byte[] Data)>> s_all = new(static () =>
    [
        Make("over a backing file", new BackingReference("base", "raw")),
        Make("alone", backing: null),
    ]);

    internal static IReadOnlyList<SeedImage> All => [.. s_all.Value.Select(made => made.Seed)];

    /// <summary>The image file that goes with the first of them; it serves the others too.</summary>
    internal static byte[] ImageFile => s_all.Value[0].Data;

    private static (SeedImage Seed, byte[] Data) Make(string name, BackingReference? backing)
    {
        var options = new CowOverlayCreateOptions { Length = 200_000, ImageFile = "data", ClusterSize = ClusterSize, Backing = backing };
        byte[] image = SeedWorld.Make(CowOverlayFormat.Instance, options, FillAsync, out byte[] data);
        FieldSpot[] fields = [.. s_header, .. Enumerable.Range(0, 8).Select(i => new FieldSpot(4096 + i, 1, "bitmap"))];
        return (new SeedImage(name, image, fields, ByteOrder.LittleEndian, ClusterSize), data);
    }

    private static async Task FillAsync(BlockNode node)
    {
        await node.WriteAsync(0, Pattern.Of(0, 3 * ClusterSize, writer: 1)).ConfigureAwait(false);
        await node.WriteAsync(90_000, Pattern.Of(90_000, 20_000, writer: 2)).ConfigureAwait(false);
        await node.WriteZeroesAsync(150_000, 10_000).ConfigureAwait(false);
    }
}
