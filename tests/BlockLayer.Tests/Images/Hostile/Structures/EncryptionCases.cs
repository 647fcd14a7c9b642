using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Formats.Qcow2;
using BlockLayer.TestKit.Hostile;

namespace BlockLayer.Tests.Images.Hostile.Structures;

/// <summary>Encryption methods and LUKS headers. qcow2 spec, "Full disk encryption header pointer"; LUKS On-Disk Format Specification, figure 2.</summary>
internal static class EncryptionCases
{
    private const string Plain = "version 3, 8-bit refcounts, compressed by zlib";
    private const int PointerAt = 112 + 8; // the only extension
    private const int PayloadOffsetAt = 104;
    private const int DigestIterationsAt = 164;
    private const int FirstSlotAt = 208;

    private static readonly Passphrase s_secret = Passphrase.FromText("secret");
    private static readonly Lazy<byte[]> s_luks = new(static () => MakeAsync().GetAwaiter().GetResult());

    internal static IEnumerable<StructureCase> All =>
    [
        // The method of old, with a passphrase that nobody has: the tables tell what they tell, and no data is given out as if it were plain.
        Qcow2Case.Of("2.18 method 1 and no passphrase", MakePlain(), OpenVerdict.LocalError, BlockErrorKind.Denied, static image => image.Write32(Qcow2Case.EncryptionAt, 1)),
        Qcow2Case.Of("2.18 method 2 without a LUKS header", Plain, OpenVerdict.Reject, BlockErrorKind.InvalidFormat, static image => image.Write32(Qcow2Case.EncryptionAt, 2)),
        Qcow2Case.Of("2.18 method 9", Plain, OpenVerdict.Reject, BlockErrorKind.InvalidFormat, static image => image.Write32(Qcow2Case.EncryptionAt, 9)),
        Luks("2.18 LUKS header without the method", BlockErrorKind.InvalidFormat, static image => image.Write32(Qcow2Case.EncryptionAt, 0)),
        Luks("2.18 LUKS header unaligned", BlockErrorKind.InvalidFormat, static image => image.Flip(PointerAt, 512)),
        Luks("2.18 LUKS header past the end", BlockErrorKind.Corrupt, static image => image.Write(PointerAt, 1 << 30)),
        Luks("2.18 LUKS header at 2^63", BlockErrorKind.InvalidFormat, static image => image.Write(PointerAt, 1UL << 63)),
        Luks("2.18 LUKS header of 2^63-1 bytes", BlockErrorKind.InvalidFormat, static image => image.Write(PointerAt + 8, long.MaxValue)),
        Luks("2.18 LUKS header of 8 bytes", BlockErrorKind.InvalidFormat, static image => image.Write(PointerAt + 8, 8)),
        Luks("2.18 LUKS header in the L1 table", BlockErrorKind.Corrupt, static image => image.Write(PointerAt, (ulong)image.L1)),
        Luks("2.18 key slot of 2^31 iterations", BlockErrorKind.Unsupported, static image => image.Write32(LuksAt(image) + FirstSlotAt + 4, 0x8000_0000)),
        Luks("2.18 digest of 2^31 iterations", BlockErrorKind.Unsupported, static image => image.Write32(LuksAt(image) + DigestIterationsAt, 0x8000_0000)),
        Luks("2.18 key slot in the payload", BlockErrorKind.Corrupt, static image => image.Write32(LuksAt(image) + PayloadOffsetAt, 100)),
        Luks("2.18 key slot at sector 2^32-1", BlockErrorKind.Corrupt, static image => image.Write32(LuksAt(image) + FirstSlotAt + 40, uint.MaxValue)),
        Luks("2.18 key slot of 2^32-1 stripes", BlockErrorKind.InvalidFormat, static image => image.Write32(LuksAt(image) + FirstSlotAt + 44, uint.MaxValue)),
    ];

    private static StructureCase Luks(string name, BlockErrorKind kind, Action<DamagedImage> spoil)
        => Qcow2Case.Of(name, s_luks.Value, OpenVerdict.Reject, kind, spoil) with { Passphrase = s_secret };

    private static long LuksAt(DamagedImage image) => (long)image.Read(PointerAt);

    private static byte[] MakePlain()
        => SeedWorld.Make(Qcow2Format.Instance, new Qcow2CreateOptions { Length = 100 * 1024, ClusterSize = 1024 }, static node => node.WriteAsync(0, Pattern.Of(0, 5000, writer: 1)).AsTask(), out byte[] _);

    private static async Task<byte[]> MakeAsync()
    {
        var files = new MeteredFiles();
        var environment = new BlockEnvironment { Files = files, Work = InlineWorkScheduler.Instance, Time = new FrozenTime() };
        BlockStorage storage = await environment.Files.OpenAsync(
            ImageExercise.ImagePath, new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateNew }, CancellationToken.None);
        await using var file = new StorageNode(storage, environment);
        var options = new Qcow2CreateOptions { Length = 1 << 20, Encryption = new LuksCreateOptions { Iterations = 1000 }, Passphrase = s_secret };
        await Qcow2Format.Instance.CreateAsync(file, options, CancellationToken.None);
        return files.Get(ImageExercise.ImagePath).ToArray();
    }
}
