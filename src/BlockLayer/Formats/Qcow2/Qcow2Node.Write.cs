using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

// Writes: in place where the host cluster is ours alone, else
//
//   lookup -> plan -> record          under the allocation lock
//   data, with what surrounds it      without it
//   publish                           under it
internal sealed partial class Qcow2Node
{
    /// <summary>Up to here a write and what surrounds it in its clusters are copied into one buffer, to be one request below.</summary>
    private const int MaxMergedLength = 128 * 1024;

    private enum WriteIntent
    {
        /// <summary>A guest's write: it replaces whatever is there.</summary>
        Replace,

        /// <summary>A copy from below: it fills only what is not allocated.</summary>
        Populate,
    }

    private protected override ValueTask WriteCoreAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        var at = new GuestOffset(offset);
        if ((flags & WriteFlags.Compressed) != 0)
        {
            return WriteCompressedAsync(at, buffer, cancellationToken);
        }

        return _isPrepared
            && _tables.TryGet(at.Cluster(_geometry), out L2Slice? slice)
            && slice.LookupWritable(at, buffer.Length, _guard.Generation, out HostOffset host) == buffer.Length
                ? _file.WriteAsync(host.Value, buffer, cancellationToken)
                : WriteSlowAsync(at, buffer, cancellationToken);
    }

    private async ValueTask WriteSlowAsync(GuestOffset at, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
    {
        while (!buffer.IsEmpty)
        {
            await PrepareToWriteAsync().ConfigureAwait(false);
            int written = await WriteInPlaceAsync(at, buffer, cancellationToken).ConfigureAwait(false);
            if (written == 0)
            {
                written = await WriteNewAsync(at, buffer, WriteIntent.Replace, cancellationToken).ConfigureAwait(false);
            }

            buffer = buffer[written..];
            at = at.Plus(written);
        }
    }

    /// <summary>Overwrites the run that starts here, if it may be overwritten. Returns how many bytes that were.</summary>
    private async ValueTask<int> WriteInPlaceAsync(GuestOffset at, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
    {
        L2Slice? slice = await _tables.LoadAsync(at.Cluster(_geometry)).ConfigureAwait(false);
        if (slice is null)
        {
            return 0;
        }

        int length = slice.LookupWritable(at, buffer.Length, _guard.Generation, out HostOffset host);
        if (length > 0)
        {
            await _file.WriteAsync(host.Value, buffer[..length], cancellationToken).ConfigureAwait(false);
        }

        return length;
    }

    /// <summary>Writes the start of a buffer to new clusters. Returns how many bytes that were; 0 when the caller has to look again.</summary>
    private async ValueTask<int> WriteNewAsync(GuestOffset at, ReadOnlyMemory<byte> buffer, WriteIntent intent, CancellationToken cancellationToken)
    {
        if (await PlanAsync(() => PlanLockedAsync(at, buffer.Length, intent), cancellationToken).ConfigureAwait(false) is not { } allocation)
        {
            return 0;
        }

        int length = (int)Math.Min(buffer.Length, allocation.End.Offset(_geometry).Value - at.Value);
        try
        {
            await FillAsync(allocation, at, buffer[..length], cancellationToken).ConfigureAwait(false);
        }
        catch (Exception error)
        {
            if (await AbandonAsync(allocation, error).ConfigureAwait(false))
            {
                return 0;
            }

            throw;
        }

        await PublishAsync(allocation, static (_, host) => L2Entry.ForData(host)).ConfigureAwait(false);
        return length;
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
            plan = await PlanInSliceAsync(slice, first, at.Plus(length - 1).Cluster(_geometry), intent).ConfigureAwait(false);
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
            : await _allocator.AllocateAsync(wanted).ConfigureAwait(false);
        if (host is null)
        {
            return WritePlan.Grow;
        }

        var allocation = new InFlightAllocation(first, host.Value.Count, host.Value, slice);
        _inFlight.Add(allocation);
        return new WritePlan(allocation);
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
        for (HostCluster host = from; host.Index <= to.Index; host = host.Plus(1))
        {
            _guard.ThrowIfMetadata(host, $"The mapping of {cluster}");
            ulong count = await _refcounts.GetAsync(host).ConfigureAwait(false);
            if (count == 0)
            {
                throw _guard.Broken(host.Offset(_geometry), $"The refcount of {host}, which {cluster} is mapped to, is 0");
            }

            if (count > 1 && entry.IsCopied)
            {
                slice.Set(cluster, entry.WithCopied(false));
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
                && !_guard.IsMetadata(host) && _refcounts.TryGetLoaded(host) == 1)
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

    /// <summary>Writes the data, and what the guest saw before in the rest of the first and the last cluster.</summary>
    private async ValueTask FillAsync(InFlightAllocation allocation, GuestOffset at, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        GuestOffset start = allocation.First.Offset(_geometry);
        GuestOffset end = allocation.End.Offset(_geometry);
        HostOffset host = allocation.Host.First.Offset(_geometry);
        GuestOffset dataEnd = at.Plus(data.Length);
        int head = NeedsFill(allocation, allocation.First) ? (int)(at.Value - start.Value) : 0;
        int tail = NeedsFill(allocation, allocation.End.Plus(-1)) ? (int)(end.Value - dataEnd.Value) : 0;
        HostOffset dataHost = host.Plus(at.Value - start.Value);
        if (head == 0 && tail == 0)
        {
            await _file.WriteAsync(dataHost.Value, data, cancellationToken).ConfigureAwait(false);
            return;
        }

        cancellationToken.ThrowIfCancellationRequested();
        bool merged = head + data.Length + tail <= MaxMergedLength;
        using PooledBuffer buffer = Environment.Buffers.Rent(head + tail + (merged ? data.Length : 0));
        Memory<byte> headBytes = buffer.Memory[..head];
        Memory<byte> tailBytes = buffer.Memory[^tail..];
        await ReadOldAsync(start, headBytes).ConfigureAwait(false);
        await ReadOldAsync(dataEnd, tailBytes).ConfigureAwait(false);
        if (merged)
        {
            data.CopyTo(buffer.Memory[head..]);
            await _file.WriteAsync(dataHost.Value - head, buffer.Memory, CancellationToken.None).ConfigureAwait(false);
            return;
        }

        await _file.WriteAsync(dataHost.Value, data, CancellationToken.None).ConfigureAwait(false);
        if (head > 0)
        {
            await _file.WriteAsync(host.Value, headBytes, CancellationToken.None).ConfigureAwait(false);
        }

        if (tail > 0)
        {
            await _file.WriteAsync(dataHost.Value + data.Length, tailBytes, CancellationToken.None).ConfigureAwait(false);
        }
    }

    /// <summary>False when the rest of a cluster reads as zeroes for the guest, and does so in the file already.</summary>
    private bool NeedsFill(InFlightAllocation allocation, GuestCluster cluster)
    {
        ClusterKind old = allocation.Slice[cluster].Kind;
        bool wasZero = old is ClusterKind.ZeroPlain or ClusterKind.ZeroAllocated
            || (old == ClusterKind.Unallocated && (BackingEdge is not { } backing || backing.Child.Length <= cluster.Offset(_geometry).Value));
        return !(wasZero && allocation.Host.Origin == HostOrigin.Fresh);
    }

    /// <summary>Reads what the guest sees now, with zeroes past the end of the disk.</summary>
    private async ValueTask ReadOldAsync(GuestOffset at, Memory<byte> buffer)
    {
        int present = (int)Math.Clamp(Length - at.Value, 0, buffer.Length);
        buffer.Span[present..].Clear();
        if (present > 0)
        {
            await ReadSlowAsync(at, buffer[..present], CancellationToken.None).ConfigureAwait(false);
        }
    }

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
                ReplaceEntry(allocation.Slice, cluster, entry, ReleasedRoom.Keep);
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
    private void ReplaceEntry(L2Slice slice, GuestCluster cluster, L2Entry entry, ReleasedRoom room)
    {
        L2Entry old = slice[cluster];
        slice.Set(cluster, entry);
        if (old.Kind is ClusterKind.Unallocated or ClusterKind.ZeroPlain || (!old.IsCompressed && !entry.IsCompressed && old.HostOffset == entry.HostOffset))
        {
            return;
        }

        (HostCluster from, HostCluster to) = HostClustersOf(old);
        for (HostCluster host = from; host.Index <= to.Index; host = host.Plus(1))
        {
            _allocator.Release(host, room);
        }
    }
}
