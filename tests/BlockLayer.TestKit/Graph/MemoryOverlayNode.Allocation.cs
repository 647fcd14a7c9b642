using BlockLayer.Primitives;

namespace BlockLayer.TestKit.Graph;

// How a cluster comes to hold something: recorded as in flight, stored, published.
internal sealed partial class MemoryOverlayNode
{
    private async ValueTask WriteClusterAsync(long offset, ReadOnlyMemory<byte> piece, CancellationToken cancellationToken)
    {
        long index = offset / _clusterSize;
        int at = (int)(offset % _clusterSize);
        if (await TryOverwriteAsync(index, at, piece).ConfigureAwait(false))
        {
            return;
        }

        // The cluster is in flight now, and this write's to publish.
        byte[]? fresh = null;
        try
        {
            byte[] content = new byte[_clusterSize];
            if (piece.Length < _clusterSize)
            {
                await ReadOldAsync(index, content, cancellationToken).ConfigureAwait(false);
            }

            piece.CopyTo(content.AsMemory(at));
            var range = new ByteRange(offset, piece.Length);
            await Steps.AtAsync(this, OverlayStep.Store, range).ConfigureAwait(false);
            await Steps.AtAsync(this, OverlayStep.Publish, range).ConfigureAwait(false);
            fresh = content;
        }
        finally
        {
            EndAllocation(index, fresh);
        }
    }

    // True: the cluster holds data and was written in place. False: it is recorded as in flight for the caller.
    private async ValueTask<bool> TryOverwriteAsync(long index, int at, ReadOnlyMemory<byte> piece)
    {
        if (await BeginAllocationAsync(index, cluster => cluster is { Length: > 0 }).ConfigureAwait(false))
        {
            return false;
        }

        await Steps.AtAsync(this, OverlayStep.Write, new ByteRange((index * _clusterSize) + at, piece.Length)).ConfigureAwait(false);
        lock (_gate)
        {
            byte[] cluster = _clusters[index];
            if (cluster.Length > 0)
            {
                piece.CopyTo(cluster.AsMemory(at));
                IsDirty = true;
                return true;
            }
        }

        // Zeroed or discarded meanwhile: a write in place has nowhere to go any more.
        return await TryOverwriteAsync(index, at, piece).ConfigureAwait(false);
    }

    private async ValueTask ReadOldAsync(long index, byte[] content, CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            if (_clusters.ContainsKey(index))
            {
                return; // zero
            }
        }

        int length = (int)Math.Min(_clusterSize, Length - (index * _clusterSize));
        if (BackingEdge is { } backing)
        {
            await backing.ReadPaddedAsync(index * _clusterSize, content.AsMemory(0, length), cancellationToken).ConfigureAwait(false);
        }
    }

    private async ValueTask SetZeroAsync(long index)
    {
        await BeginAllocationAsync(index, static _ => false).ConfigureAwait(false);
        byte[]? fresh = null;
        try
        {
            await Steps.AtAsync(this, OverlayStep.Publish, new ByteRange(index * _clusterSize, _clusterSize)).ConfigureAwait(false);
            fresh = s_zeroCluster;
        }
        finally
        {
            EndAllocation(index, fresh);
        }
    }

    private async ValueTask PopulateClusterAsync(long index, byte[] content)
    {
        bool begun = PopulatesBlindly || await BeginAllocationAsync(index, static cluster => cluster is not null).ConfigureAwait(false);
        if (!begun)
        {
            return;
        }

        byte[]? fresh = null;
        try
        {
            var range = new ByteRange(index * _clusterSize, _clusterSize);
            await Steps.AtAsync(this, OverlayStep.Store, range).ConfigureAwait(false);
            await Steps.AtAsync(this, OverlayStep.Publish, range).ConfigureAwait(false);
            fresh = ForgetsCopies ? null : content;
        }
        finally
        {
            EndAllocation(index, fresh);
        }
    }

    // Waits until nobody allocates the cluster, then records it as in flight unless it is good as it is. False: it is good.
    private async ValueTask<bool> BeginAllocationAsync(long index, Func<byte[]?, bool> isGood)
    {
        while (true)
        {
            Completion? other;
            lock (_gate)
            {
                if (!_inFlight.TryGetValue(index, out other))
                {
                    if (isGood(_clusters.GetValueOrDefault(index)))
                    {
                        return false;
                    }

                    _inFlight.Add(index, new Completion());
                    return true;
                }
            }

            await other.WaitAsync().ConfigureAwait(false);
        }
    }

    private void EndAllocation(long index, byte[]? fresh)
    {
        Completion? done;
        lock (_gate)
        {
            if (fresh is not null)
            {
                _clusters[index] = fresh;
                IsDirty = true;
            }

            _inFlight.Remove(index, out done);
        }

        done?.Complete();
    }
}
