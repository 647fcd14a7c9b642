using BlockLayer.Errors;

namespace BlockLayer.Formats.Qcow2;

// Under the allocation lock: which host clusters a guest cluster gets, and whether what it has may be touched.
internal sealed partial class Qcow2Node
{
    /// <summary>Makes a plan under the allocation lock, and does what it asks for. Null when something was waited for or made meanwhile and the caller has to look again.</summary>
    private async ValueTask<InFlightAllocation?> PlanAsync(Func<ValueTask<WritePlan>> planLocked, CancellationToken cancellationToken)
    {
        if (_writeBack.IsFull)
        {
            await _writeBack.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        }

        WritePlan plan;
        using (await _allocationLock.EnterAsync(cancellationToken).ConfigureAwait(false))
        {
            try
            {
                plan = await planLocked().ConfigureAwait(false);
            }
            catch (ImageFormatException) when (_guard.Evidence is not null)
            {
                await MarkCorruptLockedAsync().ConfigureAwait(false);
                throw;
            }
        }

        if (plan.TableFull)
        {
            await GrowRefcountTableAsync().ConfigureAwait(false);
        }
        else if (plan.Busy is { } busy)
        {
            await busy.WaitAsync(cancellationToken).ConfigureAwait(false);
        }

        return plan.Allocation;
    }

    private async ValueTask<WritePlan> PlanLockedAsync(GuestOffset at, int length, WriteIntent intent)
    {
        GuestCluster first = at.Cluster(_geometry);
        if (!HasSubclusters && _inFlight.Find(first) is { } other)
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
            plan = HasSubclusters
                ? await PlanSubclustersAsync(slice, at, at.Plus(length), intent).ConfigureAwait(false)
                : await PlanInSliceAsync(slice, first, at.Plus(length - 1).Cluster(_geometry), intent).ConfigureAwait(false);
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

    private async ValueTask<WritePlan> PlanInSliceAsync(L2Slice slice, GuestCluster first, GuestCluster last, WriteIntent intent)
    {
        L2Entry entry = slice[first];
        if (intent == WriteIntent.Populate && entry.Kind != ClusterKind.Unallocated)
        {
            return WritePlan.LookAgain;
        }

        await CheckOldMappingAsync(slice, first).ConfigureAwait(false);
        entry = slice[first];
        if (entry.Kind == ClusterKind.Data && entry.IsCopied)
        {
            return WritePlan.LookAgain; // it may be overwritten in place, now that it is trusted
        }

        bool own = IsOwnZero(entry);
        int wanted = 1;
        for (GuestCluster next = first.Plus(1); next.Index <= last.Index && next.Index < slice.End.Index; next = next.Plus(1), wanted++)
        {
            L2Entry candidate = slice[next];
            bool fits = own
                ? IsOwnZero(candidate) && candidate.HostOffset.Value == entry.HostOffset.Value + ((long)wanted << _geometry.ClusterBits)
                : candidate.Kind == ClusterKind.Unallocated || (intent == WriteIntent.Replace && !candidate.IsCopied);
            if (!fits || _inFlight.Find(next) is not null)
            {
                break;
            }

            await CheckOldMappingAsync(slice, next).ConfigureAwait(false);
            if (slice[next] != candidate)
            {
                break;
            }
        }

        HostRun? host = own
            ? new HostRun(entry.HostOffset.Cluster(_geometry), wanted, HostOrigin.Own)
            : await AllocateDataAsync(first, wanted).ConfigureAwait(false);
        if (host is null)
        {
            return WritePlan.Grow;
        }

        return Record(slice, host.Value, first, first.Offset(_geometry), first.Plus(host.Value.Count).Offset(_geometry));
    }

    /// <summary>
    /// Looks at what a guest cluster maps to before the mapping is used for writing or dropped. A flag that claims a cluster for this image alone counts only if
    /// the refcount says so too; the claim of a damaged image is taken back, in memory, so that the cluster is copied instead.
    /// </summary>
    private async ValueTask CheckOldMappingAsync(L2Slice slice, GuestCluster cluster)
    {
        if (slice.FaultOf(cluster) != EntryFault.None)
        {
            throw FaultAt(slice, cluster);
        }

        L2Entry entry = slice[cluster];
        if (entry.Kind is ClusterKind.Unallocated or ClusterKind.ZeroPlain || slice.IsTrusted(cluster, _guard.Generation))
        {
            return;
        }

        (HostCluster from, HostCluster to) = HostClustersOf(entry);
        for (HostCluster host = from; !_geometry.HasDataFile && host.Index <= to.Index; host = host.Plus(1))
        {
            _guard.ThrowIfMetadata(host, $"The mapping of {cluster}");
            ulong count = await _refcounts.GetAsync(host).ConfigureAwait(false);
            if (count == 0)
            {
                throw _guard.Broken(host.Offset(_geometry), $"The refcount of {host}, which {cluster} is mapped to, is 0");
            }

            if (count > 1 && entry.IsCopied)
            {
                slice.Set(cluster, entry.WithCopied(false), slice.EntryOf(cluster).Subclusters);
                return;
            }
        }

        if (entry.IsCopied)
        {
            slice.Trust(cluster, _guard.Generation);
            TrustNeighbours(slice);
        }
    }

    /// <summary>
    /// Trusts what can be trusted in a slice without I/O, once: neighbours mostly have their counts in the same page, and each would come here by itself
    /// (measured: first overwrites of 8 GiB cost 9 us each without it).
    /// </summary>
    private void TrustNeighbours(L2Slice slice)
    {
        long generation = _guard.Generation;
        if (slice.SweptGeneration == generation)
        {
            return;
        }

        slice.SweptGeneration = generation;
        for (GuestCluster cluster = slice.First; cluster.Index < slice.End.Index; cluster = cluster.Plus(1))
        {
            L2Entry entry = slice[cluster];
            HostCluster host = entry.HostOffset.Cluster(_geometry);
            if (entry.Kind == ClusterKind.Data && entry.IsCopied && slice.FaultOf(cluster) == EntryFault.None
                && (_geometry.HasDataFile || (!_guard.IsMetadata(host) && _refcounts.TryGetLoaded(host) == 1)))
            {
                slice.Trust(cluster, generation);
            }
        }
    }

    private static bool IsOwnZero(L2Entry entry) => entry.Kind == ClusterKind.ZeroAllocated && entry.IsCopied;

    /// <summary>The host clusters that an entry refers to, both ends included: one, or those that a compressed stream touches.</summary>
    private (HostCluster First, HostCluster Last) HostClustersOf(L2Entry entry)
    {
        if (entry.IsCompressed)
        {
            CompressedDescriptor stream = entry.Compressed(_geometry);
            return (stream.FirstCluster(_geometry), stream.LastCluster(_geometry));
        }

        HostCluster host = entry.HostOffset.Cluster(_geometry);
        return (host, host);
    }
}
