namespace BlockLayer.Formats.Qcow2;

/// <summary>A part of a refcount block in memory: 4 KiB of it, or all of it where clusters are smaller. Guarded by the allocation lock.</summary>
internal sealed class RefcountPage
{
    /// <summary>Bytes on disk; less where a cluster is smaller.</summary>
    internal const int MaxLength = 4096;

    private readonly byte[] _bytes;
    private readonly int _refcountOrder;
    private long _writtenVersion;

    /// <summary>Takes over the bytes of a part of a block.</summary>
    /// <param name="first">The cluster that the first count is about.</param>
    /// <param name="position">Where the bytes are in the file.</param>
    /// <param name="bytes">As on disk.</param>
    /// <param name="refcountOrder">log2 of the width of a count in bits.</param>
    internal RefcountPage(HostCluster first, HostOffset position, byte[] bytes, int refcountOrder)
    {
        First = first;
        Position = position;
        _bytes = bytes;
        _refcountOrder = refcountOrder;
    }

    /// <summary>The cluster that the first count is about.</summary>
    internal HostCluster First { get; }

    /// <summary>Number of counts.</summary>
    internal int Count => Counts.Count;

    /// <summary>The cluster behind the last one the page counts.</summary>
    internal HostCluster End => First.Plus(Count);

    /// <summary>True when a change is not on disk yet.</summary>
    internal bool IsDirty => Version != _writtenVersion;

    /// <summary>Set by use, cleared when the eviction passes.</summary>
    internal bool IsReferenced { get; set; }

    /// <summary>How often a cluster is referred to. Setting makes the page dirty.</summary>
    internal ulong this[HostCluster cluster]
    {
        get => Counts[(int)(cluster.Index - First.Index)];
        set
        {
            RefcountBlock counts = Counts;
            counts[(int)(cluster.Index - First.Index)] = value;
            Version++;
        }
    }

    private RefcountBlock Counts => new(_bytes, _refcountOrder);

    /// <summary>The first cluster from <paramref name="from"/> on that nobody refers to; null if the page has none.</summary>
    internal HostCluster? FindFree(HostCluster from)
    {
        int index = Counts.IndexOfFree((int)(from.Index - First.Index));
        return index < 0 ? null : First.Plus(index);
    }

    /// <summary>The last cluster up to <paramref name="to"/> that somebody refers to; null if the page has none.</summary>
    internal HostCluster? FindLastInUse(HostCluster to)
    {
        int index = Counts.LastIndexInUse((int)(to.Index - First.Index));
        return index < 0 ? null : First.Plus(index);
    }

    /// <summary>Where the page is in the file.</summary>
    internal HostOffset Position { get; }

    /// <summary>Counts up on every change.</summary>
    internal long Version { get; private set; }

    /// <summary>The bytes as they go to disk.</summary>
    internal byte[] ToBytes() => [.. _bytes];

    /// <summary>Notes which version is on disk.</summary>
    internal void MarkWritten(long version) => _writtenVersion = version;
}
