namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// Finds room for compressed streams, one directly behind the other, over cluster boundaries where the next cluster is free. Each host cluster is counted once for
/// every stream that touches it. Everything here happens under the allocation lock.
/// </summary>
internal sealed class StreamPacker(ClusterGeometry geometry, ClusterAllocator allocator, RefcountTable refcounts)
{
    private HostOffset _end;     // behind the last stream; aligned when its cluster is full or there is none
    private long _generation;    // the allocator's when _end was set: since then its cluster may have become free and somebody else's

    /// <summary>Takes room for a stream.</summary>
    /// <param name="length">Bytes; at most a cluster.</param>
    /// <returns>Where it goes; null when the refcount table has to grow first.</returns>
    internal async ValueTask<HostOffset?> AllocateAsync(int length)
    {
        await allocator.RetireAsync().ConfigureAwait(false);
        HostCluster current = _end.Cluster(geometry);
        int room = _generation == allocator.ReuseGeneration && !_end.IsAligned(geometry) && await CanCountAsync(current).ConfigureAwait(false)
            ? geometry.ClusterSize - (int)(_end.Value & geometry.ClusterMask)
            : 0;
        HostOffset start = _end;
        HostRun? next = null;
        if (length > room)
        {
            if (await allocator.AllocateAsync(1).ConfigureAwait(false) is not { } fresh)
            {
                return null;
            }

            if (room == 0 || fresh.First.Index != current.Index + 1)
            {
                Remember(fresh.First.Offset(geometry), length);
                return fresh.First.Offset(geometry);
            }

            next = fresh;
        }

        try
        {
            RefcountPage page = (await refcounts.LoadPageAsync(current).ConfigureAwait(false))!;
            refcounts.Set(page, current, page[current] + 1);
        }
        catch when (next is not null)
        {
            allocator.Return(next.Value);
            throw;
        }

        Remember(start, length);
        return start;
    }

    private void Remember(HostOffset start, int length)
    {
        _end = start.Plus(length);
        _generation = allocator.ReuseGeneration;
    }

    private async ValueTask<bool> CanCountAsync(HostCluster cluster)
    {
        ulong count = await refcounts.GetAsync(cluster).ConfigureAwait(false);
        return count > 0 && count < geometry.MaxRefcount;
    }
}
