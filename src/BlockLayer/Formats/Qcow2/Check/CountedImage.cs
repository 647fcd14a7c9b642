namespace BlockLayer.Formats.Qcow2;

/// <summary>How often each cluster is referred to, beside what the image says.</summary>
/// <param name="Stored">The refcounts of the image.</param>
/// <param name="References">The references of everything but the refcount table and its blocks.</param>
/// <param name="Tally">What was found wrong on the way.</param>
internal sealed record CountedImage(StoredRefcounts Stored, ReferenceCounter References, CheckTally Tally)
{
    /// <summary>
    /// True when more references than one lead to a cluster, and either they do not want the same of it, or there are more than its refcount knows of or could say.
    /// </summary>
    public bool IsContested(HostCluster cluster)
    {
        ulong references = References.Counts[cluster.Index];
        if (References.Overflown.Contains(cluster.Index))
        {
            return true;
        }

        if (references <= 1)
        {
            return false;
        }

        ulong tables = References.L2Tables[cluster.Index];
        return (tables > 0 && tables != references) || References.Structures[cluster.Index] > 0
            || !Stored.IsKnown(cluster) || Stored.Counts[cluster.Index] < references;
    }
}
