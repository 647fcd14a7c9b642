using BlockLayer.Formats.CowOverlay;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Storage;

namespace BlockLayer.TestKit.Hostile;

/// <summary>Small sound add-cow files with the place of every number in them, over <see cref="ImageExercise.DataPath"/>. The table is in the format's README.</summary>
internal static class CowOverlaySeeds
{
    /// <summary>Bytes of the image file.</summary>
    internal const int Length = 300_000;

    private const int Cluster = 4096;
    private const int Record = Cluster - 512;

    private static readonly FieldSpot[] s_fields =
    [
        new(4, 4, "backing_filename_offset"), new(8, 4, "backing_filename_size"), new(12, 4, "image_filename_offset"), new(16, 4, "image_filename_size"),
        new(20, 4, "cluster_bits"), new(24, 8, "features"), new(32, 8, "compatible_features"), new(40, 4, "header_size"),
        new(44, 8, "backing_format"), new(60, 8, "image_format"), new(76, 4, "names"), new(80, 4, "names"),
        new(Record, 8, "record magic"), new(Record + 8, 4, "record length"), new(Record + 12, 4, "record flags"), new(Record + 16, 8, "image length"),
        new(Record + 24, 8, "base length"), new(Record + 32, 8, "base hash"), new(Record + 96, 8, "bitmap checksum"), new(Record + 128, 8, "record hash"),
        new(Cluster, 8, "bitmap"), new(Cluster + 8, 2, "bitmap"),
    ];

    private static readonly Lazy<IReadOnlyList<SeedImage>> s_all = new(
        () => [Make("over a base", new BackingReference("base", "raw")), Make("complete", backing: null)]);

    internal static IReadOnlyList<SeedImage> All => s_all.Value;

    private static SeedImage Make(string name, BackingReference? backing)
    {
        var files = new MemoryStorageProvider();
        var environment = new BlockEnvironment { Files = files, Work = InlineWorkScheduler.Instance, Time = new FrozenTime() };
        return new SeedImage(name, FillAsync(environment, backing).GetAwaiter().GetResult(), s_fields, ByteOrder.LittleEndian, Cluster);
    }

    private static async Task<byte[]> FillAsync(BlockEnvironment environment, BackingReference? backing)
    {
        var write = new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateNew };
        await using (BlockStorage below = await environment.Files.OpenAsync("/d/base", write, CancellationToken.None).ConfigureAwait(false))
        {
            await below.WriteAsync(0, Pattern.Of(0, 100_000, writer: 9), CancellationToken.None).ConfigureAwait(false);
        }

        var overlay = new NewImage
        {
            Format = CowOverlayFormat.Instance.Name,
            Length = Length,
            Backing = backing,
            Options = new Dictionary<string, string> { ["image_file"] = "data", ["cluster_size"] = $"{Cluster}" },
        };
        await new ImageCreator(BuiltInFormats.All, environment).CreateAsync(ImageExercise.ImagePath, overlay, OpenPolicy.Default).ConfigureAwait(false);
        var opener = new ImageOpener(BuiltInFormats.All, environment);
        BlockNode node = await opener.OpenAsync(ImageExercise.ImagePath, new ImageOpenOptions { Access = NodeAccess.ReadWrite }).ConfigureAwait(false);
        await using (node.ConfigureAwait(false))
        {
            await node.WriteAsync(9000, Pattern.Of(9000, 30_000, writer: 1)).ConfigureAwait(false);
            await node.WriteAsync(Length - 5000, Pattern.Of(Length - 5000, 5000, writer: 2)).ConfigureAwait(false);
        }

        await using BlockStorage made = await environment.Files.OpenAsync(ImageExercise.ImagePath, new StorageOpenOptions(), CancellationToken.None).ConfigureAwait(false);
        byte[] bytes = new byte[made.Length];
        await made.ReadAsync(0, bytes, CancellationToken.None).ConfigureAwait(false);
        return bytes;
    }
}
