using BlockLayer.Errors;

namespace BlockLayer.Tests.Images.Hostile.Structures;

/// <summary>Extended L2 entries that contradict themselves. qcow2 spec, "Extended L2 Entries".</summary>
internal static class SubclusterCases
{
    private const string Seed = "extended L2 entries";

    internal static IEnumerable<StructureCase> All =>
    [
        Qcow2Case.Of("2.13 subcluster both allocated and zero", Seed, OpenVerdict.LocalError, BlockErrorKind.Corrupt, static image =>
            image.Write(image.DataEntry() + 8, image.Read(image.DataEntry() + 8) | 1 | 1UL << 32)),
        Qcow2Case.Of("2.13 all subclusters both allocated and zero", Seed, OpenVerdict.LocalError, BlockErrorKind.Corrupt, static image =>
            image.Write(image.DataEntry() + 8, ulong.MaxValue)),
        Qcow2Case.Of("2.13 allocated subclusters without a cluster", Seed, OpenVerdict.LocalError, BlockErrorKind.Corrupt, static image =>
            image.Write(image.DataEntry(), 0)),
        Qcow2Case.Of("2.13 clusters of 1 KiB", "version 3, 8-bit refcounts, compressed by zlib", OpenVerdict.Reject, BlockErrorKind.InvalidFormat, static image =>
            image.Flip(Qcow2Case.IncompatibleAt, 1 << 4)),
    ];
}
