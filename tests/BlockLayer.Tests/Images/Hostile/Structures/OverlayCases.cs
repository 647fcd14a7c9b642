using System.Buffers.Binary;
using System.Text;
using BlockLayer.Errors;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Hostile;

namespace BlockLayer.Tests.Images.Hostile.Structures;

/// <summary>add-cow files and the files beside them. The table of fields is in the format's README.</summary>
internal static class OverlayCases
{
    private const int BackingNameAt = 4;
    private const int ImageNameAt = 12;
    private const int ClusterBitsAt = 20;
    private const int FeaturesAt = 24;
    private const int CompatibleAt = 32;
    private const int HeaderSizeAt = 40;
    private const int ImageFormatAt = 60;
    private const int FreeRoom = 1000;
    private const int Cluster = 4096;
    private static readonly SeedImage s_backed = CowOverlaySeeds.All.Single(static seed => seed.Name == "over a base");

    internal static IEnumerable<StructureCase> All =>
    [
        Of("4 names equal", OpenVerdict.Reject, BlockErrorKind.InvalidFormat, static image => image.AsSpan(ImageNameAt, 8).CopyTo(image.AsSpan(BackingNameAt))),
        Of("4 image is the overlay itself", OpenVerdict.Reject, BlockErrorKind.InvalidFormat, static image => Name(image, ImageNameAt, "image")),
        Of("4 image outside the directory", OpenVerdict.Reject, BlockErrorKind.Denied, static image => Name(image, ImageNameAt, "/etc/shadow")),
        Of("4 image is a reference", OpenVerdict.Reject, BlockErrorKind.Denied, static image => Name(image, ImageNameAt, "nbd://host/disk")),
        Of("4 image name nowhere", OpenVerdict.Reject, BlockErrorKind.InvalidFormat, static image => Write32(image, ImageNameAt, 0)),
        Of("4 image name past the header", OpenVerdict.Reject, BlockErrorKind.InvalidFormat, static image => Write32(image, ImageNameAt + 4, uint.MaxValue)),
        Of("4 image missing", OpenVerdict.Reject, BlockErrorKind.NotFound, static _ => { }) with { Data = null },
        Of("4 image shorter", OpenVerdict.OpenReadOnly, BlockErrorKind.Corrupt, static _ => { }) with { Data = new byte[CowOverlaySeeds.Length - 50_000] },
        Of("4 image empty", OpenVerdict.OpenReadOnly, BlockErrorKind.Corrupt, static _ => { }) with { Data = [] },
        Of("4 image grown by clusters that the bitmap has room for", OpenVerdict.Ok, null, static _ => { }) with { Data = new byte[CowOverlaySeeds.Length + (100 * Cluster)] },
        Of("4 image grown inside the last cluster", OpenVerdict.Ok, null, static _ => { }) with { Data = new byte[CowOverlaySeeds.Length + 512] },
        Of("4 image holds a qcow2 header", OpenVerdict.Ok, null, static _ => { }) with { Data = Qcow2Data() },
        Of("4 image format qcow2", OpenVerdict.Reject, BlockErrorKind.Unsupported, static image => Encoding.ASCII.GetBytes("qcow2\0").CopyTo(image, ImageFormatAt)),
        Of("4 bitmap truncated", OpenVerdict.Reject, BlockErrorKind.Corrupt, static image => { }, Cluster + 2),
        Of("4 bitmap missing", OpenVerdict.Reject, BlockErrorKind.Corrupt, static image => { }, Cluster),
        Of("4 header truncated", OpenVerdict.Reject, BlockErrorKind.Corrupt, static image => { }, Cluster - 1),
        Of("4 bits past the end", OpenVerdict.OpenWithWarning, null, static image => image[Cluster + (CowOverlaySeeds.Length / Cluster / 8)] |= 0xfc),
        Of("4 HEADER_SIZE 0", OpenVerdict.Reject, BlockErrorKind.InvalidFormat, static image => Write32(image, HeaderSizeAt, 0)),
        Of("4 HEADER_SIZE 2^32-1", OpenVerdict.Reject, BlockErrorKind.InvalidFormat, static image => Write32(image, HeaderSizeAt, uint.MaxValue)),
        Of("4 cluster_bits 11", OpenVerdict.Reject, BlockErrorKind.InvalidFormat, static image => Write32(image, ClusterBitsAt, 11)),
        Of("4 cluster_bits 255", OpenVerdict.Reject, BlockErrorKind.InvalidFormat, static image => Write32(image, ClusterBitsAt, 255)),
        Of("4 unknown feature", OpenVerdict.Reject, BlockErrorKind.Unsupported, static image => image[FeaturesAt] = 1),
        Of("4 ALL_ALLOCATED with unallocated clusters", OpenVerdict.OpenWithWarning, null, static image => image[CompatibleAt] |= 1),
        Of("4 base replaced by other content of its size", OpenVerdict.Reject, BlockErrorKind.InvalidFormat, static _ => { }) with { Base = Pattern.Of(0, 100_000, writer: 8) },
        Of("4 base longer", OpenVerdict.Reject, BlockErrorKind.InvalidFormat, static _ => { }) with { Base = [.. SeedWorld.Base, 0] },
    ];

    private static StructureCase Of(string name, OpenVerdict expected, BlockErrorKind? kind, Action<byte[]> spoil, int? length = null)
    {
        byte[] image = [.. s_backed.Bytes];
        spoil(image);
        return new StructureCase(name, "add-cow", image[..(length ?? image.Length)], expected, kind);
    }

    /// <summary>A raw disk whose guest wrote a qcow2 header with a backing file into it.</summary>
    private static byte[] Qcow2Data()
    {
        byte[] data = new byte[CowOverlaySeeds.Length];
        Qcow2Seeds.Get("1-bit refcounts, a backing file").Bytes.AsSpan(0, Cluster).CopyTo(data);
        return data;
    }

    private static void Name(byte[] image, int at, string name)
    {
        Encoding.UTF8.GetBytes(name).CopyTo(image, FreeRoom);
        Write32(image, at, FreeRoom);
        Write32(image, at + 4, (uint)name.Length);
    }

    private static void Write32(byte[] image, int at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan(at), value);
}
