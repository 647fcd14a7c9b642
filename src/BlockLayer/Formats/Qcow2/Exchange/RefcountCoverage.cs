namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// Whether the refcounts cover all that leads to each cluster: the disk, every snapshot, the bitmaps, the tables. A count that is too low looks right to whoever
/// knows only some of them; when one is dropped, the cluster is free, and another still reads it.
/// </summary>
internal static class RefcountCoverage
{
    /// <summary>The first cluster that more leads to than its refcount says; null for none. What cannot be followed leads nowhere.</summary>
    /// <param name="image">What was counted, without the refcount table and its blocks, which are added here.</param>
    /// <param name="g">The image's geometry.</param>
    public static HostCluster? FindGap(CountedImage image, ClusterGeometry g)
    {
        ReferenceCounter references = image.References;
        references.Add(image.Stored.Start, (long)image.Stored.Table.Length * RefcountTableEntry.Size);
        foreach (RefcountTableEntry entry in image.Stored.Table.Where(static entry => entry.IsAllocated))
        {
            references.Add(entry.Block, g.ClusterSize);
        }

        foreach (long number in references.Counts.Pages())
        {
            ReadOnlySpan<byte> page = references.Counts.Page(number);
            long first = number * ClusterCounts.PageLength;
            for (int i = 0; i < page.Length; i++)
            {
                if (page[i] != 0 && IsGap(image, new HostCluster(first + i)))
                {
                    return new HostCluster(first + i);
                }
            }
        }

        return null;
    }

    private static bool IsGap(CountedImage image, HostCluster cluster)
        => image.References.Counts[cluster.Index] > image.Stored.Counts[cluster.Index] || image.References.Overflown.Contains(cluster.Index);
}
