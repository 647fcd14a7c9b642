using System.Buffers.Binary;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Images;

namespace BlockLayer.TestKit.Hostile;

/// <summary>Small sound qcow2 images, one for each thing the format can hold, with the place of every number in them.</summary>
internal static class Qcow2Seeds
{
    private const int CryptMethodAt = 32;

    private static readonly Lazy<SeedImage> s_dataFile = new(
        static () => Make("a data file", new() { Length = 100_000, ClusterSize = 512, DataFile = "data" }, FillAsync));

    private static readonly Lazy<IReadOnlyList<SeedImage>> s_all = new(static () =>
    [
        Make("version 2, clusters of 512", new() { Length = 40_000, Version = 2, ClusterSize = 512 }, FillAsync),
        Make("version 3, 8-bit refcounts, compressed by zlib", new() { Length = 100 * 1024, ClusterSize = 1024, RefcountBits = 8 }, FillCompressedAsync),
        Make("64-bit refcounts, compressed by zstd", new() { Length = 300_000, ClusterSize = 2048, RefcountBits = 64, Compression = "zstd" }, FillCompressedAsync),
        Make("1-bit refcounts, a backing file", new() { Length = 200_000, ClusterSize = 512, RefcountBits = 1, Backing = new BackingReference("base", "raw") }, FillAsync),
        Make("extended L2 entries", new() { Length = 300_000, ClusterSize = 16384, ExtendedL2 = true }, FillAsync),
        Make("snapshots", new() { Length = 100_000, ClusterSize = 1024 }, FillSnapshotsAsync),
        Make("version 2, a snapshot", new() { Length = 100_000, Version = 2, ClusterSize = 512 }, FillSnapshotsAsync),
        Make("bitmaps", new() { Length = 2 << 20, ClusterSize = 512 }, FillBitmapsAsync),
        s_dataFile.Value,
        MakeLegacyEncrypted(),
    ]);

    private static readonly Lazy<IReadOnlyList<SeedImage>> s_luks = new(static () =>
    [
        MakeLuks("LUKS with CBC", new() { Iterations = 1000, KeyBits = 128, Mode = "cbc-essiv:sha256" }),
        MakeLuks("LUKS with XTS", new() { Iterations = 1000, KeyBits = 128 }),
    ]);

    internal static IReadOnlyList<SeedImage> All => s_all.Value;

    /// <summary>
    /// Encrypted images, which take longer to open than all else takes together. Their keys are new in each process, so a run with the same seed damages the same
    /// places of other bytes.
    /// </summary>
    internal static IReadOnlyList<SeedImage> Luks => s_luks.Value;

    /// <summary>What <see cref="ImageExercise.DataPath"/> holds for the image that keeps the guest's data there.</summary>
    internal static byte[] DataFile => s_dataFile.Value.DataFile;

    /// <summary>The image with this in it.</summary>
    internal static SeedImage Get(string name) => All.Single(seed => seed.Name == name);

    private static SeedImage Make(string name, Qcow2CreateOptions options, Func<BlockNode, Task> fill)
    {
        byte[] image = SeedWorld.Make(Qcow2Format.Instance, options, fill, out byte[] dataFile);
        return new SeedImage(name, image, Qcow2Fields.Of(image), ByteOrder.BigEndian, options.ClusterSize) { DataFile = dataFile };
    }

    private static SeedImage MakeLuks(string name, LuksCreateOptions encryption)
        => Make(name, new() { Length = 102_400, ClusterSize = 2048, Encryption = encryption, Passphrase = ImageExercise.Passphrase }, FillAsync);

    // No such image can be created any more. Nothing in one but its header tells that it is encrypted, so a plain one becomes one whose guest sees noise.
    private static SeedImage MakeLegacyEncrypted()
    {
        SeedImage plain = Make("encrypted without LUKS", new() { Length = 61_440, Version = 2, ClusterSize = 1024 }, FillAsync);
        BinaryPrimitives.WriteUInt32BigEndian(plain.Bytes.AsSpan(CryptMethodAt), (uint)EncryptionMethod.Aes);
        return plain;
    }

    private static async Task FillAsync(BlockNode node)
    {
        int cluster = node.Limits.ClusterSize;
        int written = (int)Math.Min(node.Length / 2, 6 * cluster);
        await node.WriteAsync(0, Pattern.Of(0, written, writer: 1)).ConfigureAwait(false);
        await node.WriteAsync(node.Length - 700, Pattern.Of(node.Length - 700, 700, writer: 2)).ConfigureAwait(false);
        await node.WriteZeroesAsync(2 * cluster, cluster).ConfigureAwait(false);
        await node.WriteZeroesAsync(8 * cluster, cluster).ConfigureAwait(false);
    }

    private static async Task FillCompressedAsync(BlockNode node)
    {
        await FillAsync(node).ConfigureAwait(false);
        int cluster = node.Limits.ClusterSize;
        byte[] text = new byte[4 * cluster];
        for (int i = 0; i < text.Length; i++)
        {
            text[i] = (byte)((i % 61) + (i / 512)); // shrinks in clusters of any size, and no two are alike
        }

        await node.WriteAsync(10 * cluster, text, WriteFlags.Compressed).ConfigureAwait(false);
    }

    private static async Task FillSnapshotsAsync(BlockNode node)
    {
        await FillAsync(node).ConfigureAwait(false);
        await ImageSnapshots.CreateAsync(node, "first").ConfigureAwait(false);
        await node.WriteAsync(1000, Pattern.Of(1000, 3000, writer: 3)).ConfigureAwait(false);
        await ImageSnapshots.CreateAsync(node, "second").ConfigureAwait(false);
        await node.WriteAsync(5000, Pattern.Of(5000, 1000, writer: 4)).ConfigureAwait(false);
    }

    private static async Task FillBitmapsAsync(BlockNode node)
    {
        await ImageBitmaps.AddAsync(node, "fine", new NewBitmap { Granularity = 512 }).ConfigureAwait(false);
        await ImageBitmaps.AddAsync(node, "coarse", new NewBitmap { Granularity = 65536 }).ConfigureAwait(false);
        await FillAsync(node).ConfigureAwait(false);
        await ImageBitmaps.DisableAsync(node, "coarse").ConfigureAwait(false);
    }
}
