using BlockLayer.Graph;

namespace BlockLayer.Formats.Qcow2;

/// <summary>Counts how often each host cluster is referred to.</summary>
internal sealed class ReferenceCounter(ClusterGeometry g, long fileLength, CheckTally tally)
{
    private readonly HashSet<long> _overflown = [];

    /// <summary>Bytes in the file.</summary>
    public long FileLength => fileLength;

    /// <summary>The counts so far.</summary>
    public ClusterCounts Counts { get; } = new();

    /// <summary>Of the counts, those of references that lead to an L2 table.</summary>
    public ClusterCounts L2Tables { get; } = new();

    /// <summary>Of the counts, those of references that lead to any other metadata.</summary>
    public ClusterCounts Structures { get; } = new();

    /// <summary>Clusters with more references than a refcount of this image can say.</summary>
    public IReadOnlySet<long> Overflown => _overflown;

    /// <summary>One past the last cluster that the file or a reference reaches.</summary>
    public long End => Math.Max(g.ClustersFor(fileLength), Counts.End);

    /// <summary>True when all of a range is in the file.</summary>
    public bool IsInFile(HostOffset offset, long length) => offset.Value <= fileLength && length <= fileLength - offset.Value;

    /// <summary>Counts as <see cref="Add"/> does, and remembers what is there.</summary>
    public void AddMetadata(HostOffset offset, long length, ClusterCounts kind, ulong weight = 1)
    {
        Add(offset, length, weight);
        if (length <= 0 || !IsCountable(offset, length))
        {
            return;
        }

        long last = offset.Plus(length - 1).Cluster(g).Index;
        for (long cluster = offset.Cluster(g).Index; cluster <= last; cluster++)
        {
            kind[cluster] += weight;
        }
    }

    /// <summary>
    /// Counts every cluster that a range touches, <paramref name="weight"/> times. A range that ends a cluster or more behind the file's end refers to
    /// nothing; less is normal, since the last cluster of a file need not be whole.
    /// </summary>
    public void Add(HostOffset offset, long length, ulong weight = 1)
    {
        if (length <= 0)
        {
            return;
        }

        if (!IsCountable(offset, length))
        {
            if (tally.Corruption(weight))
            {
                tally.Describe(ImageFaultKind.Corruption, $"Something refers to {length} bytes at byte {(ulong)offset.Value}, behind the end of the file.");
            }

            return;
        }

        long last = offset.Plus(length - 1).Cluster(g).Index;
        for (long cluster = offset.Cluster(g).Index; cluster <= last; cluster++)
        {
            if (weight == 1 && g.MaxRefcount > ClusterCounts.Large && Counts.TryIncrement(cluster))
            {
                continue;
            }

            ulong count = Counts[cluster];
            ulong room = g.MaxRefcount - count;
            Counts[cluster] = count + Math.Min(weight, room);
            if (weight <= room)
            {
                continue;
            }

            _overflown.Add(cluster);
            if (tally.Corruption(weight - room))
            {
                tally.Describe(
                    ImageFaultKind.Corruption,
                    $"Cluster {cluster} is referred to more than {g.MaxRefcount} times, the most a refcount of {g.RefcountBits} bits can say.");
            }
        }
    }

    private bool IsCountable(HostOffset offset, long length)
        => offset.Value >= 0 && offset.Value <= long.MaxValue - length && offset.Value + length - fileLength < g.ClusterSize;
}
