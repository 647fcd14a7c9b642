namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// Finds free clusters for the tables of a draft. Single clusters come from the first gap, runs from behind the last run: a gap that was too short for one run is not
/// looked at again for the next. So all searches together look at each cluster in use twice at most, however many tables of whatever lengths there are.
/// </summary>
/// <param name="taken">Not 0 where a cluster is in use. Whoever takes what is found notes it there.</param>
internal sealed class FreeClusterSearch(ClusterCounts taken)
{
    private HostCluster _singlesFrom; // nothing below it is free
    private HostCluster _runsFrom;

    /// <summary>Clusters looked at so far.</summary>
    internal long Examined { get; private set; }

    /// <summary>The first of as many contiguous clusters that are free, and that the caller takes.</summary>
    internal HostCluster Find(int count)
    {
        HostCluster first = count == 1 || _runsFrom.Index < _singlesFrom.Index ? _singlesFrom : _runsFrom;
        for (HostCluster at = first; at.Index - first.Index < count; at = at.Plus(1))
        {
            Examined++;
            if (taken[at.Index] != 0)
            {
                first = at.Plus(1);
            }
        }

        HostCluster end = first.Plus(count);
        (_singlesFrom, _runsFrom) = count == 1 ? (end, _runsFrom) : (_singlesFrom, end);
        return first;
    }
}
