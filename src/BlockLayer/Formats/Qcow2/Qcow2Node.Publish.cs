using BlockLayer.Errors;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

// How an allocation ends: published, or given up.
internal sealed partial class Qcow2Node
{
    /// <summary>Makes an allocation what the guest reads, and lets go of what it replaces.</summary>
    private async ValueTask PublishAsync(InFlightAllocation allocation, Func<GuestCluster, HostOffset, L2Entry> makeEntry)
    {
        using (await _allocationLock.EnterAsync(CancellationToken.None).ConfigureAwait(false))
        {
            _tables.MarkDirty(allocation.Slice);
            for (int i = 0; i < allocation.Count; i++)
            {
                GuestCluster cluster = allocation.First.Plus(i);
                L2Entry entry = makeEntry(cluster, allocation.Host.First.Plus(i).Offset(_geometry));
                ReplaceEntry(allocation.Slice, cluster, entry, ReleasedRoom.Keep, SubclustersAfter(allocation, cluster, entry));
                if (entry.IsCopied)
                {
                    allocation.Slice.Trust(cluster, _guard.Generation);
                }
            }

            _inFlight.Remove(allocation);
            _tables.Unpin(allocation.Slice);
        }

        allocation.Done.Complete();
    }

    /// <summary>Gives up an allocation that could not be filled. True when another try may succeed: there was no room, and some could be freed.</summary>
    private async ValueTask<bool> AbandonAsync(InFlightAllocation allocation, Exception error)
    {
        bool hasHope = error is BlockLayerException { Kind: BlockErrorKind.NoSpace } && !_allocator.IsSettled;
        using (await _allocationLock.EnterAsync(CancellationToken.None).ConfigureAwait(false))
        {
            if (allocation.Host.Origin != HostOrigin.Own)
            {
                _allocator.Return(allocation.Host);
            }

            _inFlight.Remove(allocation);
            _tables.Unpin(allocation.Slice);
        }

        allocation.Done.Complete(); // waiters look again
        return hasHope && await TryFreeSpaceAsync().ConfigureAwait(false);
    }

    /// <summary>Changes an entry of a slice that is marked dirty, and releases the host clusters that the old one referred to and the new one does not.</summary>
    private void ReplaceEntry(L2Slice slice, GuestCluster cluster, L2Entry entry, ReleasedRoom room, ulong subclusters = 0)
    {
        L2Entry old = slice[cluster];
        slice.Set(cluster, entry, subclusters);
        if (_geometry.HasDataFile || old.Kind is ClusterKind.Unallocated or ClusterKind.ZeroPlain || (!old.IsCompressed && !entry.IsCompressed && old.HostOffset == entry.HostOffset))
        {
            return;
        }

        (HostCluster from, HostCluster to) = HostClustersOf(old);
        for (HostCluster host = from; host.Index <= to.Index; host = host.Plus(1))
        {
            _allocator.Release(host, room);
        }
    }

    /// <summary>
    /// Makes room where the file system has none: a flush makes drops durable, so clusters in quarantine can be used again. True when one was.
    /// Does not wait for requests to leave; the caller is one.
    /// </summary>
    private async ValueTask<bool> TryFreeSpaceAsync()
    {
        await _writeBack.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        using AsyncLock.Releaser held = await _allocationLock.EnterAsync().ConfigureAwait(false);
        long before = _allocator.ReuseGeneration;
        await _allocator.RetireAsync().ConfigureAwait(false);
        return _allocator.ReuseGeneration != before;
    }
}
