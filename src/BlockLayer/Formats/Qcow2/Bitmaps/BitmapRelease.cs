using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// Which clusters become free when bitmaps are no longer stored. What an image says of its bitmaps may be damaged, and a table that names a cluster of the guest's looks as good
/// as any: refcounts do not tell whose the reference is that they count. So what this node did not write itself is free only if nothing else leads to it.
/// </summary>
internal sealed class BitmapRelease(IMetadataReader file, ClusterGeometry g, Qcow2Header header, RefcountTable refcounts, MetadataOverlapGuard guard)
{
    /// <summary>
    /// The clusters, each as often as it was referred to. Everything the node has in memory is on disk. What may be somebody else's is left out: at worst it leaks,
    /// which a check finds.
    /// </summary>
    /// <param name="directory">The directory, which goes in any case; empty for none.</param>
    /// <param name="dropped">The bitmaps that go.</param>
    /// <param name="kept">Those that stay where they are.</param>
    /// <param name="isOwn">True when this node wrote the directory and all that is dropped.</param>
    /// <exception cref="Errors.BlockLayerException">Io.</exception>
    internal async ValueTask<IReadOnlyList<HostCluster>> FindAsync(
        ByteRange directory, IEnumerable<StoredBitmap> dropped, IEnumerable<StoredBitmap> kept, bool isOwn)
    {
        Dictionary<HostCluster, ulong> claims = await ClaimsAsync(dropped).ConfigureAwait(false);
        HashSet<HostCluster> directoryClusters =
            [.. Enumerable.Range(0, (int)g.ClustersFor(directory.Length)).Select(i => new HostOffset(directory.Offset).Cluster(g).Plus(i))];
        foreach (HostCluster cluster in directoryClusters)
        {
            claims[cluster] = claims.GetValueOrDefault(cluster) + 1;
        }

        if (!isOwn && !await TryRemoveUsedAsync(claims, kept).ConfigureAwait(false))
        {
            return [];
        }

        var released = new List<HostCluster>();
        foreach ((HostCluster cluster, ulong claimed) in claims)
        {
            if (directoryClusters.Contains(cluster) || !guard.IsMetadata(cluster))
            {
                ulong counted = Math.Min(claimed, await refcounts.GetAsync(cluster).ConfigureAwait(false));
                released.AddRange(Enumerable.Repeat(cluster, (int)counted));
            }
        }

        return released;
    }

    /// <summary>Takes out what the guest, a snapshot or a bitmap that is kept leads to; false when that cannot be said.</summary>
    private async ValueTask<bool> TryRemoveUsedAsync(Dictionary<HostCluster, ulong> claims, IEnumerable<StoredBitmap> kept)
    {
        Qcow2Header withoutBitmaps = header with { Autoclear = header.Autoclear & ~AutoclearFeatures.Bitmaps };
        CountedImage others = await Qcow2Checker.CountAsync(file, withoutBitmaps, CountedReferences.All, CancellationToken.None).ConfigureAwait(false);
        if (others.Tally.IsIncomplete)
        {
            return false;
        }

        foreach (HostCluster cluster in claims.Keys.Where(cluster => others.References.Counts[cluster.Index] > 0).ToList())
        {
            claims.Remove(cluster);
        }

        foreach (StoredBitmap bitmap in kept)
        {
            foreach (HostCluster cluster in await BitmapContent.FindClustersAsync(file, g, bitmap.Entry, CancellationToken.None).ConfigureAwait(false))
            {
                claims.Remove(cluster);
            }
        }

        return true;
    }

    private async ValueTask<Dictionary<HostCluster, ulong>> ClaimsAsync(IEnumerable<StoredBitmap> bitmaps)
    {
        var claims = new Dictionary<HostCluster, ulong>();
        foreach (StoredBitmap bitmap in bitmaps)
        {
            foreach (HostCluster cluster in await BitmapContent.FindClustersAsync(file, g, bitmap.Entry, CancellationToken.None).ConfigureAwait(false))
            {
                claims[cluster] = claims.GetValueOrDefault(cluster) + 1;
            }
        }

        return claims;
    }
}
