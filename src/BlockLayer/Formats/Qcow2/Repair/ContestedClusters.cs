namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// Clusters that more references lead to than their refcounts know of: who has them is settled before anybody may write to them.
/// </summary>
/// <remarks>
/// Sharing as such is sound: a snapshot and the active disk share what was not written since, at one place of the disk, and compressed streams share clusters with
/// each other. These stay together, as many as a refcount can count. Whoever else leads to the cluster needs one of its own.
/// </remarks>
internal sealed class ContestedClusters
{
    /// <summary>Clusters looked at in one go; an image with more takes several.</summary>
    private const int MaxClusters = 1 << 20;

    private readonly Dictionary<long, Claim> _claims = [];
    private readonly ulong _maxRefcount;

    private ContestedClusters(ulong maxRefcount) => _maxRefcount = maxRefcount;

    /// <summary>True when there are none.</summary>
    public bool IsEmpty => _claims.Count == 0;

    /// <summary>Where to go on looking; null when all were found.</summary>
    public long? Rest { get; private set; }

    /// <summary>Finds contested clusters.</summary>
    /// <param name="image">The counts.</param>
    /// <param name="g">The image's.</param>
    /// <param name="from">The first cluster to look at.</param>
    public static ContestedClusters Find(CountedImage image, ClusterGeometry g, long from)
    {
        ContestedClusters found = new(g.MaxRefcount);
        ClusterCounts references = image.References.Counts;
        foreach (long cluster in image.References.Overflown.Where(cluster => cluster >= from))
        {
            found._claims[cluster] = default;
        }

        foreach (long number in references.Pages().SkipWhile(number => number < from / ClusterCounts.PageLength))
        {
            long first = number * ClusterCounts.PageLength;
            ReadOnlySpan<byte> page = references.Page(number);
            for (int i = page.IndexOfAnyExceptInRange((byte)0, (byte)1); i >= 0 && i < page.Length; i++)
            {
                if (first + i >= from && page[i] > 1 && image.IsContested(new HostCluster(first + i)))
                {
                    found._claims[first + i] = default;
                }
            }

            if (found._claims.Count >= MaxClusters)
            {
                found.Rest = first + ClusterCounts.PageLength;
                break;
            }
        }

        return found;
    }

    /// <summary>True when guest data leads to one of them.</summary>
    public bool IncludeData(ReferenceCounter references)
        => _claims.Keys.Any(cluster => references.Overflown.Contains(cluster) || references.Counts[cluster] > references.L2Tables[cluster] + references.Structures[cluster]);

    /// <summary>True when the cluster is contested.</summary>
    public bool Contains(HostCluster cluster) => _claims.ContainsKey(cluster.Index);

    /// <summary>Whether a user may go on using a cluster; the first to ask may, and those who are the same user to it.</summary>
    /// <param name="cluster">The cluster.</param>
    /// <param name="user">Who asks.</param>
    /// <param name="weight">How many references that is.</param>
    public bool TryClaim(HostCluster cluster, ClusterUser user, ulong weight = 1)
    {
        if (!_claims.TryGetValue(cluster.Index, out Claim claim))
        {
            return true;
        }

        if (claim.References > 0 && (claim.User != user || weight > _maxRefcount - claim.References))
        {
            return false;
        }

        _claims[cluster.Index] = new Claim(user, claim.References + weight);
        return true;
    }

    /// <summary>Whether all clusters that a range touches may go on being used; if not, none of them is claimed.</summary>
    public bool TryClaim(HostCluster first, HostCluster last, ClusterUser user, ulong weight)
    {
        for (HostCluster at = first; at.Index <= last.Index; at = at.Plus(1))
        {
            if (_claims.TryGetValue(at.Index, out Claim claim)
                && claim.References > 0 && (claim.User != user || weight > _maxRefcount - claim.References))
            {
                return false;
            }
        }

        for (HostCluster at = first; at.Index <= last.Index; at = at.Plus(1))
        {
            TryClaim(at, user, weight);
        }

        return true;
    }

    private readonly record struct Claim(ClusterUser User, ulong References);
}
