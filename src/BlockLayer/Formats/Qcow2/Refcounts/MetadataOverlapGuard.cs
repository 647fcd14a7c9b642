using BlockLayer.Errors;
using BlockLayer.Graph;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// Knows which clusters hold metadata, so that a damaged or hostile image cannot make us overwrite it: clusters are looked up here before
/// they are handed out, and mappings before they are written through. Guarded by the allocation lock, except <see cref="Generation"/>.
/// </summary>
/// <remarks>
/// Known are the header, the refcount table and its blocks, the snapshot table, the active L1 table and those of snapshots, the L2 tables of all of them, and
/// the bitmap directory. Not known are the tables of bitmaps, which only their refcounts protect, as in QEMU's default checks.
/// </remarks>
internal sealed class MetadataOverlapGuard(BlockEdge file, ClusterGeometry geometry)
{
    private readonly Dictionary<long, MetadataKind> _clusters = []; // what is one cluster
    private readonly List<Run> _runs = [];                          // what may be many; sorted, none overlaps another
    private long _generation = 1;

    /// <summary>Moves on whenever a cluster that may have held guest data becomes metadata: mappings checked before are checked again.</summary>
    internal long Generation => Volatile.Read(ref _generation);

    /// <summary>Set once there is evidence that writing could damage metadata; the reason.</summary>
    internal ImageFormatException? Evidence { get; private set; }

    /// <summary>True when the cluster holds metadata.</summary>
    internal bool IsMetadata(HostCluster cluster) => Find(cluster) is not null;

    /// <summary>True when the cluster is known to hold an L2 table.</summary>
    internal bool IsL2Table(HostCluster cluster) => _clusters.TryGetValue(cluster.Index, out MetadataKind kind) && kind == MetadataKind.L2Table;

    /// <summary>Notes a cluster that becomes metadata, or is found to be. Called before it is written.</summary>
    /// <exception cref="ImageFormatException">Corrupt: it is metadata already.</exception>
    internal void Add(HostCluster cluster, MetadataKind kind)
    {
        ThrowIfTaken(cluster, kind);
        _clusters.Add(cluster.Index, kind);
        NoteNew(cluster);
    }

    /// <summary>Notes a table of any length, as <see cref="Add(HostCluster, MetadataKind)"/> does a cluster.</summary>
    internal void Add(HostOffset start, long length, MetadataKind kind)
    {
        if (length == 0)
        {
            return;
        }

        HostCluster first = start.Cluster(geometry);
        var run = new Run(first.Index, first.Index + geometry.ClustersFor(length), kind);
        int place = PlaceOf(first.Index);
        ThrowIfTaken(first, kind);
        if (place < _runs.Count && _runs[place].First < run.End)
        {
            ThrowIfTaken(new HostCluster(_runs[place].First), kind);
        }

        foreach (long cluster in _clusters.Keys)
        {
            if (cluster >= run.First && cluster < run.End)
            {
                ThrowIfTaken(new HostCluster(cluster), kind);
            }
        }

        _runs.Insert(place, run);
        NoteNew(first);
    }

    /// <summary>Forgets everything, to be told anew.</summary>
    internal void Clear()
    {
        _clusters.Clear();
        _runs.Clear();
    }

    /// <summary>Notes that a cluster no longer holds metadata.</summary>
    internal void Remove(HostCluster cluster) => _clusters.Remove(cluster.Index);

    /// <summary>Notes that the table that starts here is one no longer.</summary>
    internal void RemoveTable(HostOffset start)
    {
        HostCluster first = start.Cluster(geometry);
        _runs.RemoveAll(run => run.First == first.Index);
    }

    /// <exception cref="ImageFormatException">Corrupt: the cluster, found through <paramref name="what"/>, holds metadata.</exception>
    internal void ThrowIfMetadata(HostCluster cluster, string what)
    {
        if (Find(cluster) is { } kind)
        {
            throw Broken(cluster.Offset(geometry), $"{what} leads to {cluster}, which holds {Say(kind)}");
        }
    }

    /// <summary>Remembers evidence that the image must not be written, and returns it as an error to throw.</summary>
    internal ImageFormatException Broken(HostOffset at, string sentence)
        => Evidence ??= ImageFormatException.Corrupt("refcounts", at.Value, $"{sentence}; the image must not be written before it is repaired.");

    private void ThrowIfTaken(HostCluster cluster, MetadataKind kind)
    {
        if (Find(cluster) is { } taken)
        {
            throw Broken(cluster.Offset(geometry), $"The {cluster}, which is to hold {Say(kind)}, holds {Say(taken)}");
        }
    }

    private void NoteNew(HostCluster first)
    {
        if (first.Offset(geometry).Value < file.Child.Length)
        {
            Interlocked.Increment(ref _generation); // no mapping that was let in leads past the end of the file
        }
    }

    private MetadataKind? Find(HostCluster cluster)
    {
        if (_clusters.TryGetValue(cluster.Index, out MetadataKind kind))
        {
            return kind;
        }

        int before = PlaceOf(cluster.Index + 1) - 1;
        return before >= 0 && _runs[before].End > cluster.Index ? _runs[before].Kind : null;
    }

    /// <summary>Index of the first run that starts at or behind a cluster.</summary>
    private int PlaceOf(long cluster)
    {
        int low = 0;
        for (int high = _runs.Count; low < high;)
        {
            int middle = (low + high) / 2;
            (low, high) = _runs[middle].First < cluster ? (middle + 1, high) : (low, middle);
        }

        return low;
    }

    private static string Say(MetadataKind kind) => kind switch
    {
        MetadataKind.Header => "the header",
        MetadataKind.L1Table => "an L1 table",
        MetadataKind.L2Table => "an L2 table",
        MetadataKind.RefcountTable => "the refcount table",
        MetadataKind.RefcountBlock => "a refcount block",
        MetadataKind.SnapshotTable => "the snapshot table",
        MetadataKind.BitmapDirectory => "the bitmap directory",
        MetadataKind.EncryptionHeader => "the encryption header",
        _ => throw new ArgumentOutOfRangeException(nameof(kind)),
    };

    private readonly record struct Run(long First, long End, MetadataKind Kind);
}
