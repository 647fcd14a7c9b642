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
        ["file: last cluster and a half missing"] = static image => image.Resize(image.File.Length - image.Geometry.ClusterSize * 3 / 2),
        ["file: longer by a cluster and a half"] = static image => image.Resize(image.File.Length + image.Geometry.ClusterSize * 3 / 2),
    };

    /// <summary>What they are called.</summary>
    internal static IEnumerable<string> Names => s_all.Keys;

    /// <summary>Damages an image.</summary>
    internal static void Apply(string name, DamagedImage image) => s_all[name](image);

    private static void SetRefcount(DamagedImage image, long offset, ulong value)
    {
        RefcountBlock block = new(image.File.AsSpan((int)image.RefcountBlock, image.Geometry.ClusterSize), image.Geometry.RefcountOrder);
        block[new HostOffset(offset).Cluster(image.Geometry).RefcountBlockIndex(image.Geometry)] = Math.Min(value, block.Max);
    }
}
