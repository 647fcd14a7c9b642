using System.Buffers.Binary;
using BlockLayer.Formats.Qcow2;

namespace BlockLayer.TestKit.Formats.Qcow2;

/// <summary>Named ways to damage the metadata of a sound image, one field or one contradiction each.</summary>
internal static class Damage
{
    private const ulong Copied = 1UL << 63;

    private static readonly Dictionary<string, Action<DamagedImage>> s_all = new()
    {
        ["L2 entry: copied flag"] = static image => image.Flip(image.DataEntry(), Copied),
        ["L2 entry: reserved high bit"] = static image => image.Flip(image.DataEntry(), 1UL << 57),
        ["L2 entry: reserved low bit"] = static image => image.Flip(image.DataEntry(), 4),
        ["L2 entry: inside a cluster"] = static image => image.Flip(image.DataEntry(), 512),
        ["L2 entry: far behind the end"] = static image => image.Flip(image.DataEntry(), 1UL << 40),
        ["L2 entry: just behind the end"] = static image => image.Write(image.DataEntry(), Copied | (ulong)(image.Geometry.ClustersFor(image.File.Length) << image.Geometry.ClusterBits)),
        ["L2 entry: the L1 table"] = static image => image.Write(image.DataEntry(), Copied | (ulong)image.L1),
        ["L2 entry: the refcount table"] = static image => image.Write(image.DataEntry(), Copied | (ulong)image.RefcountTable),
        ["L2 entry: the refcount block"] = static image => image.Write(image.DataEntry(), Copied | (ulong)image.RefcountBlock),
        ["L2 entry: its own table"] = static image => image.Write(image.DataEntry(), Copied | (ulong)image.L2),
        ["L2 entry: another one's cluster"] = static image => image.Write(image.DataEntry(), image.Read(image.DataEntry(1))),
        ["L2 entry: dropped"] = static image => image.Write(image.DataEntry(), 0),
        ["L2 entry: zero flag"] = static image => image.Flip(image.DataEntry(), 1),
        ["L2 entry: compressed flag"] = static image => image.Flip(image.DataEntry(), 1UL << 62 | Copied),
        ["L2 entry: compressed and copied flags"] = static image => image.Flip(image.DataEntry(), 1UL << 62),
        ["L2 entry: zero flag inside a cluster"] = static image => image.Flip(image.DataEntry(), 513),
        ["L1 entry: copied flag"] = static image => image.Flip(image.UsedL1Entry, Copied),
        ["L1 entry: reserved bit"] = static image => image.Flip(image.UsedL1Entry, 1UL << 60 | 1),
        ["L1 entry: inside a cluster"] = static image => image.Flip(image.UsedL1Entry, 512),
        ["L1 entry: far behind the end"] = static image => image.Flip(image.UsedL1Entry, 1UL << 40),
        ["L1 entry: dropped"] = static image => image.Write(image.UsedL1Entry, 0),
        ["L1 entry: flag without table"] = static image => image.Write(image.UsedL1Entry, Copied),
        ["L1 entry: the L1 table"] = static image => image.Write(image.UsedL1Entry, Copied | (ulong)image.L1),
        ["L1 entry: the refcount block"] = static image => image.Write(image.UsedL1Entry, Copied | (ulong)image.RefcountBlock),
        ["refcounts: header free"] = static image => SetRefcount(image, 0, 0),
        ["refcounts: header twice"] = static image => SetRefcount(image, 0, 2),
        ["refcounts: L2 table free"] = static image => SetRefcount(image, image.L2, 0),
        ["refcounts: L2 table twice"] = static image => SetRefcount(image, image.L2, 2),
        ["refcounts: data twice"] = static image => SetRefcount(image, (long)(image.Read(image.DataEntry()) & 0x00ff_ffff_ffff_fe00), 2),
        ["refcounts: data free"] = static image => SetRefcount(image, (long)(image.Read(image.DataEntry()) & 0x00ff_ffff_ffff_fe00), 0),
        ["refcounts: everything as often as can be"] = static image => image.File.AsSpan((int)image.RefcountBlock, image.Geometry.ClusterSize).Fill(0xff),
        ["refcounts: everything free"] = static image => image.File.AsSpan((int)image.RefcountBlock, image.Geometry.ClusterSize).Clear(),
        ["refcount table: reserved bit"] = static image => image.Flip(image.RefcountTable, 1),
        ["refcount table: behind the end"] = static image => image.Flip(image.RefcountTable, 1UL << 40),
        ["refcount table: block dropped"] = static image => image.Write(image.RefcountTable, 0),
        ["refcount table: one block twice"] = static image => image.Write(image.RefcountTable + 8, image.Read(image.RefcountTable)),
        ["refcount table: the L1 table"] = static image => image.Write(image.RefcountTable, (ulong)image.L1),
        ["header: dirty bit"] = static image => image.Flip(72, 1),
        ["header: corrupt bit"] = static image => image.Flip(72, 2),
        ["L1 entry: another one's table"] = static image => image.Write(image.UsedL1Entry, image.Read(image.UsedL1Entries.ElementAt(1))),
        ["L2 entry: both bits of a subcluster"] = static image => image.Write(image.DataEntry() + 8, image.Read(image.DataEntry() + 8) | 1 | 1UL << 32),
        ["L2 entry: stream far behind the end"] = static image => image.Flip(image.StreamEntries.First(), 1UL << 40),
        ["L2 entry: stream as long as can be"] = static image => image.Write(image.StreamEntries.Last(), image.Read(image.StreamEntries.Last()) | 0xffUL << 54),
        ["L2 entry: stream in the header"] = static image => image.Write(image.StreamEntries.First(), 1UL << 62 | 600),
        ["L2 entry: stream in the L1 table"] = static image => image.Write(image.StreamEntries.First(), 1UL << 62 | (ulong)image.L1),
        ["L2 entry: stream in another one's cluster"] = static image => image.Write(image.StreamEntries.First(), 1UL << 62 | (ulong)image.Data),
        ["snapshot: L1 table inside a cluster"] = static image => image.Flip(image.Snapshots, 512),
        ["snapshot: L1 table far behind the end"] = static image => image.Flip(image.Snapshots, 1UL << 40),
        ["snapshot: L1 table negative"] = static image => image.Flip(image.Snapshots, 1UL << 63),
        ["snapshot: the active L1 table"] = static image => image.Write(image.Snapshots, (ulong)image.L1),
        ["snapshot: the L1 table of the other one"] = static image => image.Write(image.Snapshots, image.Read(image.SecondSnapshot)),
        ["snapshot: an L2 table as L1 table"] = static image => image.Write(image.Snapshots, (ulong)image.L2),
        ["snapshot: data as L1 table"] = static image => image.Write(image.Snapshots, (ulong)image.Data),
        ["snapshot: the snapshot table as L1 table"] = static image => image.Write(image.Snapshots, (ulong)image.Snapshots),
        ["snapshot: L1 table too large"] = static image => image.Write32(image.Snapshots + 8, 0x7fff_ffff),
        ["snapshot: L1 table ends behind the file"] = static image => image.Write32(image.Snapshots + 8, 1 << 20),
        ["snapshot: L1 table gone"] = static image => image.Write32(image.Snapshots + 8, 0),
        ["snapshot: no sizes"] = static image => DropExtraData(image),
        ["snapshots: one too many"] = static image => image.Write32(60, image.Header.SnapshotCount + 1),
        ["snapshots: one forgotten"] = static image => image.Write32(60, image.Header.SnapshotCount - 1),
        ["bitmap: reserved bit in its table"] = static image => image.Flip(image.BitmapTable, 1UL << 60),
        ["bitmap: bits inside a cluster"] = static image => image.Write(image.BitmapTable, (ulong)image.Data + 512),
        ["bitmap: data for bits"] = static image => image.Write(image.BitmapTable, (ulong)image.Data),
        ["bitmap: bits far behind the end"] = static image => image.Write(image.BitmapTable, 1UL << 40),
        ["bitmap: the L1 table for its table"] = static image => image.Write(image.BitmapDirectory!.Value, (ulong)image.L1),
        ["bitmap: table inside a cluster"] = static image => image.Flip(image.BitmapDirectory!.Value, 512),
        ["bitmap: unknown flag"] = static image => image.Write32(image.BitmapDirectory!.Value + 12, 0x80),
        ["file: last cluster and a half missing"] = static image => image.Resize(image.File.Length - image.Geometry.ClusterSize * 3 / 2),
        ["file: longer by a cluster and a half"] = static image => image.Resize(image.File.Length + image.Geometry.ClusterSize * 3 / 2),
    };

    /// <summary>
    /// Damages after which QEMU 7.2 gives up instead of counting: it wants bitmaps that it can load before it looks at anything, and does not read at negative offsets.
    /// And one after which it reads far behind the end of the file, where we stop.
    /// </summary>
    private static readonly HashSet<string> s_notCounted =
    [
        "bitmap: table inside a cluster", "bitmap: unknown flag", "bitmap: reserved bit in its table", "bitmap: bits inside a cluster",
        "bitmap: the L1 table for its table", "snapshot: L1 table negative", "snapshot: L1 table ends behind the file",
    ];

    /// <summary>What they are called.</summary>
    internal static IEnumerable<string> Names => s_all.Keys;

    /// <summary>True when an image has what the damage is done to, and can be opened afterwards.</summary>
    internal static bool Fits(string name, DamagedImage image) => name switch
    {
        "L1 entry: another one's table" => image.UsedL1Entries.Count() > 1,
        "L2 entry: both bits of a subcluster" => image.Geometry.L2EntryFormat == L2EntryFormat.Extended,
        _ when name.Contains("stream", StringComparison.Ordinal) => image.StreamEntries.Any(),
        _ when name.StartsWith("header", StringComparison.Ordinal) => image.Header.Version >= 3,
        _ when name.StartsWith("snapshot", StringComparison.Ordinal) => image.Header.SnapshotCount > 1,
        _ when name.StartsWith("bitmap", StringComparison.Ordinal) => image.BitmapDirectory is not null,

        // QEMU does not open an image whose bitmap directory is behind the end of the file, not even to check it.
        "file: last cluster and a half missing" => image.BitmapDirectory is null,
        _ => true,
    };

    /// <summary>True when QEMU 7.2 counts what is wrong after this damage.</summary>
    internal static bool IsCountedByQemu(string name) => !s_notCounted.Contains(name);

    /// <summary>Damages an image.</summary>
    internal static void Apply(string name, DamagedImage image) => s_all[name](image);

    private static void SetRefcount(DamagedImage image, long offset, ulong value)
    {
        RefcountBlock block = new(image.File.AsSpan((int)image.RefcountBlock, image.Geometry.ClusterSize), image.Geometry.RefcountOrder);
        block[new HostOffset(offset).Cluster(image.Geometry).RefcountBlockIndex(image.Geometry)] = Math.Min(value, block.Max);
    }

    /// <summary>Takes the extra data of the first snapshot away, and makes its name so much longer.</summary>
    private static void DropExtraData(DamagedImage image)
    {
        Span<byte> entry = image.File.AsSpan((int)image.Snapshots);
        uint extra = BinaryPrimitives.ReadUInt32BigEndian(entry[36..]);
        ushort name = BinaryPrimitives.ReadUInt16BigEndian(entry[14..]);
        BinaryPrimitives.WriteUInt32BigEndian(entry[36..], 0);
        BinaryPrimitives.WriteUInt16BigEndian(entry[14..], (ushort)(name + extra));
    }
}
