using BlockLayer.Errors;
using BlockLayer.TestKit.Formats.Qcow2;
using BlockLayer.TestKit.Hostile;

namespace BlockLayer.Tests.Images.Hostile.Structures;

/// <summary>Makes cases of sound qcow2 images, and knows where the header's fields are. qcow2 spec, "Header".</summary>
internal static class Qcow2Case
{
    internal const int SizeAt = 24;
    internal const int EncryptionAt = 32;
    internal const int L1SizeAt = 36;
    internal const int L1TableOffsetAt = 40;
    internal const int RefcountTableOffsetAt = 48;
    internal const int RefcountTableClustersAt = 56;
    internal const int SnapshotCountAt = 60;
    internal const int SnapshotsOffsetAt = 64;
    internal const int IncompatibleAt = 72;
    internal const int AutoclearAt = 88;

    internal static StructureCase Of(string name, string seed, OpenVerdict expected, BlockErrorKind? kind, Action<DamagedImage> spoil)
        => Of(name, Qcow2Seeds.Get(seed).Bytes, expected, kind, spoil);

    internal static StructureCase Of(string name, byte[] sound, OpenVerdict expected, BlockErrorKind? kind, Action<DamagedImage> spoil)
    {
        var image = new DamagedImage([.. sound]);
        spoil(image);
        return new StructureCase(name, "qcow2", image.File, expected, kind);
    }

    /// <summary>Makes the file longer by whole clusters of zeroes; where the first of them is.</summary>
    internal static long Append(DamagedImage image, int clusters)
    {
        long at = image.Geometry.ClustersFor(image.File.Length) << image.Geometry.ClusterBits;
        image.Resize(at + ((long)clusters << image.Geometry.ClusterBits));
        return at;
    }
}
