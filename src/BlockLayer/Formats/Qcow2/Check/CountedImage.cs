namespace BlockLayer.Formats.Qcow2;

/// <summary>How often each cluster is referred to, beside what the image says.</summary>
/// <param name="Stored">The refcounts of the image.</param>
/// <param name="References">The references of everything but the refcount table and its blocks.</param>
/// <param name="Tally">What was found wrong on the way.</param>
internal sealed record CountedImage(StoredRefcounts Stored, ReferenceCounter References, CheckTally Tally)
{
    /// <summary>True when more references than one lead to a cluster, and more than its refcount knows of or could say.</summary>
    public bool IsContested(HostCluster cluster)
        => References.Overflown.Contains(cluster.Index)
            || (References.Counts[cluster.Index] is > 1 and var references
                && (!Stored.IsKnown(cluster) || Stored.Counts[cluster.Index] < references));
}
