using System.Buffers.Binary;
using BlockLayer.Errors;
using BlockLayer.Formats.Qed;
using BlockLayer.TestKit.Hostile;

namespace BlockLayer.Tests.Images.Hostile.Structures;

/// <summary>QED headers and tables. qed_spec, "Header" and "Tables".</summary>
internal static class QedCases
{
    private const int Cluster = 4096;
    private const int FeaturesAt = 16; // fields before it have 4 bytes, those behind it 8, but for the backing name's

    private static readonly SeedImage s_alone = QedSeeds.All.Single(static seed => seed.Name == "alone");
    private static readonly SeedImage s_backed = QedSeeds.All.Single(static seed => seed.Name == "with a backing file");

    internal static IEnumerable<StructureCase> All =>
    [
        Reject("3 cluster size 5000", 4, 5000),
        Reject("3 cluster size 2^11", 4, 1 << 11),
        Reject("3 cluster size 2^27", 4, 1 << 27),
        Reject("3 cluster size 0", 4, 0),
        Reject("3 table size 0", 8, 0),
        Reject("3 table size 3", 8, 3),
        Reject("3 table size 32", 8, 32),
        Reject("3 header size 0", 12, 0),
        Reject("3 header size 2^32-1", 12, uint.MaxValue),
        Reject("3 header size past the L1 table", 12, 2),
        Reject("3 L1 unaligned", 40, Cluster + 1),
        Reject("3 L1 in the header", 40, 0),
        Reject("3 L1 past the end", 40, 1 << 30, BlockErrorKind.Corrupt),
        Reject("3 L1 near 2^63", 40, long.MaxValue & ~4095, BlockErrorKind.Corrupt),
        Reject("3 L1 at 2^63", 40, 1UL << 63),
        Reject("3 image size no multiple of 512", 48, 5001),
        Reject("3 image size beyond the tables", 48, 1UL << 62),
        Reject("3 image size 2^64-512", 48, ulong.MaxValue & ~511UL),
        Reject("3 unknown feature", 16, 8, BlockErrorKind.Unsupported),
        Reject("3 unknown feature 2^63", 16, 1UL << 63, BlockErrorKind.Unsupported),
        Of("3 backing name past the header", s_backed, OpenVerdict.Reject, BlockErrorKind.InvalidFormat, static image => Write32(image, 56, Cluster - 2)),
        Of("3 backing name in the fields", s_backed, OpenVerdict.Reject, BlockErrorKind.InvalidFormat, static image => Write32(image, 56, 8)),
        Of("3 backing name at 2^32-1", s_backed, OpenVerdict.Reject, BlockErrorKind.InvalidFormat, static image => Write32(image, 56, uint.MaxValue)),
        Of("3 backing name of 2^32-1 bytes", s_backed, OpenVerdict.Reject, BlockErrorKind.InvalidFormat, static image => Write32(image, 60, uint.MaxValue)),
        Of("3 backing name of no bytes", s_backed, OpenVerdict.Reject, BlockErrorKind.InvalidFormat, static image => Write32(image, 60, 0)),

        Of("3 NEED_CHECK", s_alone, OpenVerdict.OpenWithWarning, null, static image => Write64(image, 16, 2)),
        Of("3 unknown compat feature", s_alone, OpenVerdict.Ok, null, static image => Write64(image, 24, 1)),
        Of("3 unknown autoclear feature", s_alone, OpenVerdict.Ok, null, static image => Write64(image, 32, 1)),
        Of("3 offset 1 is a zero cluster", s_alone, OpenVerdict.OpenWithWarning, null, static image => Write64(image, L2(image), 1)), // what it led to leaks
        Of("3 offset 1 is no L2 table", s_alone, OpenVerdict.LocalError, BlockErrorKind.Corrupt, static image => Write64(image, L1(image), 1)),
        Of("3 offset 2 is no cluster", s_alone, OpenVerdict.LocalError, BlockErrorKind.Corrupt, static image => Write64(image, L2(image), 2)),
        Of("3 L2 table is the L1 table", s_alone, OpenVerdict.LocalError, BlockErrorKind.Corrupt, static image => Write64(image, L1(image), (ulong)L1(image))),
        Of("3 L2 table is the header", s_alone, OpenVerdict.LocalError, BlockErrorKind.Corrupt, static image => Write64(image, L1(image), 0x10)),
        Of("3 L2 entry leads to its own table", s_alone, OpenVerdict.LocalError, BlockErrorKind.Corrupt, static image => Write64(image, L2(image), (ulong)L2(image))),
        Of("3 L2 entry leads to the L1 table", s_alone, OpenVerdict.LocalError, BlockErrorKind.Corrupt, static image => Write64(image, L2(image), (ulong)L1(image))),
        Of("3 L2 entry leads past the end", s_alone, OpenVerdict.LocalError, BlockErrorKind.Corrupt, static image => Write64(image, L2(image), 1 << 30)),
    ];

    private static StructureCase Reject(string name, int at, ulong value, BlockErrorKind kind = BlockErrorKind.InvalidFormat)
        => Of(name, s_alone, OpenVerdict.Reject, kind, image =>
        {
            if (at < FeaturesAt)
            {
                Write32(image, at, (uint)value);
            }
            else
            {
                Write64(image, at, value);
            }
        });

    private static StructureCase Of(string name, SeedImage seed, OpenVerdict expected, BlockErrorKind? kind, Action<byte[]> spoil)
    {
        byte[] image = [.. seed.Bytes];
        spoil(image);
        return new StructureCase(name, "qed", image, expected, kind);
    }

    private static void Write32(byte[] image, int at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan(at), value);

    private static void Write64(byte[] image, int at, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(image.AsSpan(at), value);

    private static int L1(byte[] image) => (int)QedHeader.Parse(image).L1TableOffset;

    private static int L2(byte[] image) => (int)BinaryPrimitives.ReadInt64LittleEndian(image.AsSpan(L1(image)));
}
