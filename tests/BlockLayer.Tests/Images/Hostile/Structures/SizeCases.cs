using BlockLayer.Errors;
using BlockLayer.TestKit.Formats.Qcow2;

namespace BlockLayer.Tests.Images.Hostile.Structures;

/// <summary>State bits of the header, and sizes of disk and file. qcow2 spec, "Header".</summary>
internal static class SizeCases
{
    private const string Seed = "version 3, 8-bit refcounts, compressed by zlib";
    private const ulong Dirty = 1;
    private const ulong Corrupt = 2;

    internal static IEnumerable<StructureCase> All =>
    [
        Qcow2Case.Of("2.19 dirty bit", Seed, OpenVerdict.OpenWithWarning, null, static image => image.Write(Qcow2Case.IncompatibleAt, Dirty)) with { IsMendedByWriting = true },
        Qcow2Case.Of("2.19 corrupt bit", Seed, OpenVerdict.OpenReadOnly, BlockErrorKind.Corrupt, static image => image.Write(Qcow2Case.IncompatibleAt, Corrupt)),
        Qcow2Case.Of("2.19 dirty and corrupt bits", Seed, OpenVerdict.OpenReadOnly, BlockErrorKind.Corrupt, static image => image.Write(Qcow2Case.IncompatibleAt, Dirty | Corrupt)),
        Qcow2Case.Of("2.19 dirty bit and random refcounts", Seed, OpenVerdict.OpenWithWarning, null, static image => SpoilRefcounts(image, static random => (byte)random.Next(256))) with { IsMendedByWriting = true },
        Qcow2Case.Of("2.19 dirty bit and no refcounts", Seed, OpenVerdict.OpenWithWarning, null, static image => SpoilRefcounts(image, static _ => 0)) with { IsMendedByWriting = true },
        Qcow2Case.Of("2.19 dirty bit and largest refcounts", Seed, OpenVerdict.OpenWithWarning, null, static image => SpoilRefcounts(image, static _ => 255)) with { IsMendedByWriting = true },

        Size("2.20 size 0", 0, OpenVerdict.Ok),
        Size("2.20 size 1", 1, OpenVerdict.Ok),
        Size("2.20 size no multiple of 512", (100 * 1024) - 100, OpenVerdict.Ok),
        Size("2.20 size 2^63-1", long.MaxValue, OpenVerdict.Reject),
        Size("2.20 size 2^63", 1UL << 63, OpenVerdict.Reject),
        Size("2.20 size 2^64-1", ulong.MaxValue, OpenVerdict.Reject),
        Size("2.20 size beyond the L1 table", 1UL << 40, OpenVerdict.Reject),
        Size("2.20 size a cluster beyond the L1 table", 1 << 20, OpenVerdict.Reject),
        Qcow2Case.Of("2.20 file of 4 bytes", Seed, OpenVerdict.Reject, BlockErrorKind.InvalidFormat, static image => image.Resize(4)),
        Qcow2Case.Of("2.20 file of 71 bytes", Seed, OpenVerdict.Reject, BlockErrorKind.InvalidFormat, static image => image.Resize(71)),
        Qcow2Case.Of("2.20 file of 103 bytes", Seed, OpenVerdict.Reject, BlockErrorKind.InvalidFormat, static image => image.Resize(103)),
        Qcow2Case.Of("2.20 file of the header alone", Seed, OpenVerdict.Reject, BlockErrorKind.Corrupt, static image => image.Resize(1024)),
    ];

    private static StructureCase Size(string name, ulong size, OpenVerdict expected)
        => Qcow2Case.Of(name, Seed, expected, expected == OpenVerdict.Reject ? BlockErrorKind.InvalidFormat : null, image => image.Write(Qcow2Case.SizeAt, size));

    private static void SpoilRefcounts(DamagedImage image, Func<Random, byte> value)
    {
        image.Write(Qcow2Case.IncompatibleAt, Dirty);
        var random = new Random(1);
        foreach (ref byte count in image.File.AsSpan((int)image.RefcountBlock, image.Geometry.ClusterSize))
        {
            count = value(random);
        }
    }
}
