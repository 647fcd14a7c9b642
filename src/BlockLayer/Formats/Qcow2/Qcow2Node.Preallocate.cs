using BlockLayer.Errors;
using BlockLayer.Graph;

namespace BlockLayer.Formats.Qcow2;

// Room taken before a guest asks for it. The mapping is published only after its clusters read as zeroes, as with a write.
internal sealed partial class Qcow2Node
{
    /// <summary>
    /// Gives every guest cluster of a range that has no host cluster one that reads as zeroes. Subclusters stay what they were, so a backing file still shows through
    /// those; standard entries cannot say that, which is why a range that a backing file provides is refused.
    /// </summary>
    /// <param name="offset">Start of the range: of a guest cluster.</param>
    /// <param name="end">End of the range; the rest of its cluster is taken too.</param>
    /// <param name="mode">Not <see cref="Preallocation.Off"/>.</param>
    /// <param name="cancellationToken">Honoured between runs of clusters.</param>
    /// <exception cref="BlockLayerException">Unsupported: there is a backing file and no subclusters; NoSpace, Io. What was taken so far stays taken.</exception>
    internal async ValueTask PreallocateAsync(long offset, long end, Preallocation mode, CancellationToken cancellationToken)
    {
        if (HasBacking && !HasSubclusters)
        {
            throw Error(
                BlockErrorKind.Unsupported, $"'{NodeName}' has a backing file, which preallocated clusters would hide; only images with extended_l2=on can be preallocated over one.");
        }

        if (_data.IsEncrypted)
        {
            throw Error(BlockErrorKind.Unsupported, $"'{NodeName}' is encrypted: clusters without data would be decrypted into noise, so none are preallocated.");
        }

        var stop = new GuestCluster(_geometry.ClustersFor(end));
        for (GuestCluster at = new GuestOffset(offset).Cluster(_geometry); at.Index < stop.Index;)
        {
            cancellationToken.ThrowIfCancellationRequested();
            await PrepareToWriteAsync().ConfigureAwait(false);
            GuestCluster first = at = await SkipRoomAsync(at, stop).ConfigureAwait(false);
            if (first.Index == stop.Index)
            {
                return;
            }

            if (await PlanAsync(() => PlanRoomLockedAsync(first, stop), cancellationToken).ConfigureAwait(false) is not { } allocation)
            {
                continue;
            }

            try
            {
                long length = (long)allocation.Count << _geometry.ClusterBits;
                await _data.TakeRoomAsync(allocation.Host.First.Offset(_geometry), length, mode, cancellationToken).ConfigureAwait(false);
            }
            catch (Exception error)
            {
                if (await AbandonAsync(allocation, error).ConfigureAwait(false))
                {
                    continue;
                }

                throw;
            }

            await PublishAsync(allocation, static (_, host) => L2Entry.ForData(host)).ConfigureAwait(false);
            at = allocation.End;
        }
    }

    /// <summary>The first cluster that has no host cluster, from one on.</summary>
    private async ValueTask<GuestCluster> SkipRoomAsync(GuestCluster at, GuestCluster stop)
    {
        while (at.Index < stop.Index)
        {
            if (await _tables.LoadAsync(at).ConfigureAwait(false) is not { } slice)
            {
                return at;
            }

            for (; at.Index < stop.Index && at.Index < slice.End.Index; at = at.Plus(1))
            {
                if (slice.FaultOf(at) != EntryFault.None)
                {
                    throw FaultAt(slice, at);
                }

                if (IsWithoutRoom(slice[at]))
                {
                    return at;
                }
            }
        }

        return at;
    }

    private async ValueTask<WritePlan> PlanRoomLockedAsync(GuestCluster first, GuestCluster stop)
    {
        if (_inFlight.Find(first) is { } other)
        {
            return new WritePlan(Busy: other.Done);
        }

        if (await EnsureSliceAsync(first).ConfigureAwait(false) is not { } slice)
        {
            return WritePlan.Grow;
        }

        WritePlan plan = default;
        try
        {
            int wanted = 0;
            for (GuestCluster next = first; next.Index < Math.Min(stop.Index, slice.End.Index) && IsWithoutRoom(slice[next]) && _inFlight.Find(next) is null; next = next.Plus(1))
            {
                wanted++;
            }

            if (wanted > 0)
            {
                GuestOffset nothing = first.Offset(_geometry);
                plan = await AllocateDataAsync(first, wanted).ConfigureAwait(false) is { } host ? Record(slice, host, first, fillStart: nothing, fillEnd: nothing) : WritePlan.Grow;
            }

            return plan;
        }
        finally
        {
            if (plan.Allocation is null)
            {
                _tables.Unpin(slice); // else the allocation keeps the pin until it is published
            }
        }
    }

    private static bool IsWithoutRoom(L2Entry entry) => entry.Kind is ClusterKind.Unallocated or ClusterKind.ZeroPlain;
}
