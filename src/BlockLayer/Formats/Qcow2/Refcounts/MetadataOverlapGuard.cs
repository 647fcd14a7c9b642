using BlockLayer.Errors;
using BlockLayer.Graph;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// Knows which clusters hold metadata, so that a damaged or hostile image cannot make us overwrite it: clusters are looked up here before
/// they are handed out, and mappings before they are written through. Guarded by the allocation lock, except <see cref="Generation"/>.
/// </summary>
/// <remarks>
/// Known are the header, the refcount table and its blocks, the active L1 table and its L2 tables, the snapshot table and the L1 tables of snapshots. Not known
/// are the L2 tables of snapshots and the bitmaps, which only their refcounts protect, as in QEMU's default checks.
/// </remarks>
internal sealed class MetadataOverlapGuard(BlockEdge file, ClusterGeometry geometry)
{
    private readonly Dictionary<long, MetadataKind> _clusters = [];
    private long _generation = 1;

    /// <summary>Moves on whenever a cluster that may have held guest data becomes metadata: mappings checked before are checked again.</summary>
    internal long Generation => Volatile.Read(ref _generation);

    /// <summary>Set once there is evidence that writing could damage metadata; the reason.</summary>
    internal ImageFormatException? Evidence { get; private set; }

    /// <summary>True when the cluster holds metadata.</summary>
    internal bool IsMetadata(HostCluster cluster) => _clusters.ContainsKey(cluster.Index);

    /// <summary>Notes a cluster that becomes metadata, or is found to be. Called before it is written.</summary>
    /// <exception cref="ImageFormatException">Corrupt: it is metadata of another kind already.</exception>
    internal void Add(HostCluster cluster, MetadataKind kind)
    {
        if (!_clusters.TryAdd(cluster.Index, kind))
        {
            throw Broken(cluster.Offset(geometry), $"The {cluster}, which is to hold {Say(kind)}, holds {Say(_clusters[cluster.Index])}");
        }

        if (cluster.Offset(geometry).Value < file.Child.Length)
        {
            Interlocked.Increment(ref _generation); // no mapping that was let in leads past the end of the file
        }
    }

    /// <summary>Notes a run of clusters.</summary>
    internal void Add(HostOffset start, long length, MetadataKind kind)
    {
        HostCluster first = start.Cluster(geometry);
        for (long i = 0; i < geometry.ClustersFor(length); i++)
        {
            Add(first.Plus(i), kind);
        }
    }

    /// <summary>Forgets everything, to be told anew.</summary>
    internal void Clear() => _clusters.Clear();

    /// <summary>Notes that a cluster no longer holds metadata.</summary>
    internal void Remove(HostCluster cluster) => _clusters.Remove(cluster.Index);

    /// <summary>Notes that a run no longer holds metadata.</summary>
    internal void Remove(HostOffset start, long length)
    {
        HostCluster first = start.Cluster(geometry);
        for (long i = 0; i < geometry.ClustersFor(length); i++)
        {
            Remove(first.Plus(i));
        }
    }

    /// <exception cref="ImageFormatException">Corrupt: the cluster, found through <paramref name="what"/>, holds metadata.</exception>
    internal void ThrowIfMetadata(HostCluster cluster, string what)
    {
        if (_clusters.TryGetValue(cluster.Index, out MetadataKind kind))
        {
            throw Broken(cluster.Offset(geometry), $"{what} leads to {cluster}, which holds {Say(kind)}");
        }
    }

    /// <summary>Remembers evidence that the image must not be written, and returns it as an error to throw.</summary>
    internal ImageFormatException Broken(HostOffset at, string sentence)
        => Evidence ??= ImageFormatException.Corrupt("refcounts", at.Value, $"{sentence}; the image must not be written before it is repaired.");

    private static string Say(MetadataKind kind) => kind switch
    {
        MetadataKind.Header => "the header",
        MetadataKind.L1Table => "an L1 table",
        MetadataKind.L2Table => "an L2 table",
        MetadataKind.RefcountTable => "the refcount table",
        MetadataKind.RefcountBlock => "a refcount block",
        MetadataKind.SnapshotTable => "the snapshot table",
        _ => throw new ArgumentOutOfRangeException(nameof(kind)),
    };
}
