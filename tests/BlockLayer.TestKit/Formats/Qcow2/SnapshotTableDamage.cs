namespace BlockLayer.TestKit.Formats.Qcow2;

/// <summary>Ways to make a snapshot table of two entries one that nobody can rely on, by name.</summary>
internal static class SnapshotTableDamage
{
    private const int SnapshotCountAt = 60;
    private const int SnapshotsOffsetAt = 64;
    private const int NameSizeAt = 14;
    private const int ExtraSizeAt = 36;

    private static readonly Dictionary<string, (Action<DamagedImage> Spoil, int Kept)> s_damages = new(StringComparer.Ordinal)
    {
        ["count: one too many"] = (static image => image.Write32(SnapshotCountAt, 3), 2),
        ["count: 1000"] = (static image => image.Write32(SnapshotCountAt, 1000), 2),
        ["count: 65537"] = (static image => image.Write32(SnapshotCountAt, 65537), 2),
        ["count: 2^32-1"] = (static image => image.Write32(SnapshotCountAt, uint.MaxValue), 2),
        ["offset: behind the end"] = (static image => image.Write(SnapshotsOffsetAt, 1 << 30), 0),
        ["offset: the end"] = (static image => image.Write(SnapshotsOffsetAt, (ulong)(image.Geometry.ClustersFor(image.File.Length) * image.Geometry.ClusterSize)), 0),
        ["offset: inside a cluster"] = (static image => image.Flip(SnapshotsOffsetAt, 256), 0),
        ["offset: 2^63"] = (static image => image.Write(SnapshotsOffsetAt, 1UL << 63), 0),
        ["offset: 2^63-1, rounded"] = (static image => image.Write(SnapshotsOffsetAt, (ulong)long.MaxValue & ~0xffffUL), 0),
        ["offset: the header"] = (static image => image.Write(SnapshotsOffsetAt, 0), 0),
        ["offset: the refcount table"] = (static image => image.Write(SnapshotsOffsetAt, (ulong)image.RefcountTable), 0),
        ["offset: the L1 table"] = (static image => image.Write(SnapshotsOffsetAt, (ulong)image.L1), 0),
        ["first: extra data of 1025 bytes"] = (static image => image.Write32(image.Snapshots + ExtraSizeAt, 1025), 1),
        ["first: extra data of 2^32-1 bytes"] = (static image => image.Write32(image.Snapshots + ExtraSizeAt, uint.MaxValue), 0),
        ["second: extra data of 1025 bytes"] = (static image => image.Write32(image.SecondSnapshot + ExtraSizeAt, 1025), 2),
        ["second: extra data of 2^32-1 bytes"] = (static image => image.Write32(image.SecondSnapshot + ExtraSizeAt, uint.MaxValue), 1),
        ["second: what no entry is"] = (static image => image.File.AsSpan((int)image.SecondSnapshot, 48).Fill(0xa5), 1),
        ["second: a name of 65535 bytes"] = (static image => image.File.AsSpan((int)image.SecondSnapshot + NameSizeAt, 2).Fill(0xff), 2),
    };

    /// <summary>Every way.</summary>
    public static IEnumerable<string> Names => s_damages.Keys;

    /// <summary>Spoils the table of an image that has two snapshots.</summary>
    public static void Apply(string name, DamagedImage image) => s_damages[name].Spoil(image);

    /// <summary>How many snapshots a repair keeps.</summary>
    public static int Kept(string name) => s_damages[name].Kept;
}
