using BlockLayer.Errors;
using BlockLayer.TestKit.Formats.Qcow2;

namespace BlockLayer.Tests.Images.Hostile.Structures;

/// <summary>Snapshot tables. The active disk needs none of them; who writes must know which clusters they keep. qcow2 spec, "Snapshots".</summary>
internal static class SnapshotCases
{
    private const string Seed = "snapshots";
    private const int L1SizeAt = 8;
    private const int IdSizeAt = 12;
    private const int NameSizeAt = 14;
    private const int ExtraSizeAt = 36;
    private const int VmStateSizeAt = 40;
    private const int DiskSizeAt = 48;
    private const int FixedLength = 40;

    internal static IEnumerable<StructureCase> All =>
    [
        ReadOnly("2.16 65537 snapshots", BlockErrorKind.Corrupt, static image => image.Write32(Qcow2Case.SnapshotCountAt, 65537)),
        ReadOnly("2.16 2^32-1 snapshots", BlockErrorKind.Corrupt, static image => image.Write32(Qcow2Case.SnapshotCountAt, uint.MaxValue)),
        ReadOnly("2.16 65536 snapshots in a short file", BlockErrorKind.Corrupt, static image => image.Write32(Qcow2Case.SnapshotCountAt, 65536)),
        ReadOnly("2.16 40 snapshots in a short file", BlockErrorKind.Corrupt, static image => image.Write32(Qcow2Case.SnapshotCountAt, 40)),
        ReadOnly("2.16 table unaligned", BlockErrorKind.Corrupt, static image => image.Flip(Qcow2Case.SnapshotsOffsetAt, 512)),
        ReadOnly("2.16 table past the end", BlockErrorKind.Corrupt, static image => image.Write(Qcow2Case.SnapshotsOffsetAt, 1 << 30)),
        ReadOnly("2.16 table in the header", BlockErrorKind.Corrupt, static image => image.Write(Qcow2Case.SnapshotsOffsetAt, 0)),

        ReadOnly("2.16 extra data of 1025 bytes", BlockErrorKind.Corrupt, static image => image.Write32(image.Snapshots + ExtraSizeAt, 1025)),
        ReadOnly("2.16 extra data of 2^32-1 bytes", BlockErrorKind.Corrupt, static image => image.Write32(image.Snapshots + ExtraSizeAt, uint.MaxValue)),
        ReadOnly("2.16 id size past the end", BlockErrorKind.Corrupt, static image => Write16(image, image.SecondSnapshot + IdSizeAt, 0xffff)),
        ReadOnly("2.16 name size past the end", BlockErrorKind.Corrupt, static image => Write16(image, image.SecondSnapshot + NameSizeAt, 0xffff)),
        ReadOnly("2.16 l1 size 2^31-1", BlockErrorKind.InvalidFormat, static image => image.Write32(image.Snapshots + L1SizeAt, 0x7fff_ffff)),
        ReadOnly("2.16 l1 size past the end", BlockErrorKind.Corrupt, static image => image.Write32(image.Snapshots + L1SizeAt, 1 << 20)),
        ReadOnly("2.16 l1 unaligned", BlockErrorKind.InvalidFormat, static image => image.Flip(image.Snapshots, 512)),
        ReadOnly("2.16 l1 past the end", BlockErrorKind.Corrupt, static image => image.Write(image.Snapshots, 1 << 30)),
        ReadOnly("2.16 l1 at 2^63", BlockErrorKind.InvalidFormat, static image => image.Write(image.Snapshots, 1UL << 63)),

        Qcow2Case.Of("2.16 two snapshots of one id", Seed, OpenVerdict.OpenWithWarning, null, static image => image.File[IdAt(image, image.SecondSnapshot)] = image.File[IdAt(image, image.Snapshots)]),

        // Numbers for whoever loads the state or shows the snapshot; neither is needed, or believed, here.
        Qcow2Case.Of("2.16 vm state of 2^64-1 bytes", Seed, OpenVerdict.Ok, null, static image => image.Write(image.Snapshots + VmStateSizeAt, ulong.MaxValue)),
        Qcow2Case.Of("2.16 disk size is not the header's", Seed, OpenVerdict.Ok, null, static image => image.Write(image.Snapshots + DiskSizeAt, 512)),
        Qcow2Case.Of("2.16 disk size 2^64-1", Seed, OpenVerdict.Ok, null, static image => image.Write(image.Snapshots + DiskSizeAt, ulong.MaxValue)),
    ];

    private static StructureCase ReadOnly(string name, BlockErrorKind kind, Action<DamagedImage> spoil) => Qcow2Case.Of(name, Seed, OpenVerdict.OpenReadOnly, kind, spoil);

    private static long IdAt(DamagedImage image, long entry) => entry + FixedLength + (long)(image.Read(entry + ExtraSizeAt) >> 32);

    private static void Write16(DamagedImage image, long at, ushort value)
    {
        image.File[at] = (byte)(value >> 8);
        image.File[at + 1] = (byte)value;
    }
}
