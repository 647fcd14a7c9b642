using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

// Changes of the size. The node is drained, so nothing else is inside.
internal sealed partial class Qcow2Node
{
    private protected override async ValueTask ResizeCoreAsync(long length, ResizeOptions options, CancellationToken cancellationToken)
    {
        const long MaxL1Entries = Qcow2Limits.MaxL1TableLength / L1Entry.Size;
        if (_geometry.L1EntriesFor(length) > MaxL1Entries)
        {
            throw Error(
                BlockErrorKind.Unsupported, $"A disk of {length} bytes needs more than {MaxL1Entries} L1 entries; with clusters of {_geometry.ClusterSize} bytes that is the limit.");
        }

        ThrowIfBitmapsCannotFollow(length);
        _data.ThrowIfNotOpened();
        await PrepareToWriteAsync().ConfigureAwait(false);
        long oldLength = Length;
        if (length > oldLength)
        {
            await _data.ResizeAsync(oldLength, length).ConfigureAwait(false);
            await GrowAsync(oldLength, length, cancellationToken).ConfigureAwait(false);
            if (options.Preallocation != Preallocation.Off || IsRawData)
            {
                await PreallocateAsync(Alignment.RoundUp(oldLength, _geometry.ClusterSize), length, AtLeastMapped(options.Preallocation), cancellationToken).ConfigureAwait(false);
            }
        }
        else if (length < oldLength)
        {
            await DropTailAsync(length, oldLength, cancellationToken).ConfigureAwait(false);
        }

        await CommitLengthAsync(length).ConfigureAwait(false);
        SetLength(length);
        if (length < oldLength)
        {
            await _data.ResizeAsync(oldLength, length).ConfigureAwait(false);
        }
    }

    /// <summary>Makes room in the L1 table, and hides what a longer backing file would show in the new part: durable before the new size is.</summary>
    private async ValueTask GrowAsync(long oldLength, long length, CancellationToken cancellationToken)
    {
        await EnsureL1EntriesAsync((int)_geometry.L1EntriesFor(length)).ConfigureAwait(false);
        long shown = Math.Min(length, BackingEdge?.Child.Length ?? 0);
        if (shown <= oldLength)
        {
            return;
        }

        SetLength(length); // the zeroes lie in the new part; nobody sees it before the drain ends
        try
        {
            await WriteZeroesCoreAsync(oldLength, shown - oldLength, ZeroFlags.MayUnmap, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            SetLength(oldLength);
        }
    }

    /// <summary>Drops the mappings behind the new end, and zeroes the rest of the cluster it is in: growing again must not bring anything back.</summary>
    private async ValueTask DropTailAsync(long length, long oldLength, CancellationToken cancellationToken)
    {
        long firstWhole = Alignment.RoundUp(length, _geometry.ClusterSize);
        long partEnd = Math.Min(firstWhole, oldLength);
        await ZeroPartAsync(length, partEnd - length, mayWrite: true, cancellationToken).ConfigureAwait(false);
        GuestCluster end = new GuestOffset(Alignment.RoundUp(oldLength, _geometry.ClusterSize)).Cluster(_geometry);
        for (GuestCluster at = new GuestOffset(firstWhole).Cluster(_geometry); at.Index < end.Index;)
        {
            at = await DropInSliceAsync(at, end).ConfigureAwait(false);
        }
    }

    private async ValueTask<GuestCluster> DropInSliceAsync(GuestCluster first, GuestCluster end)
    {
        if (!_tables.L1EntryOf(first).IsAllocated)
        {
            return new GuestCluster(Math.Min(end.Index, (first.L1Index(_geometry) + 1) << _geometry.L2Bits));
        }

        bool tableFull = false;
        GuestCluster at = first;
        using (await _allocationLock.EnterAsync().ConfigureAwait(false))
        {
            if (await EnsureSliceAsync(first).ConfigureAwait(false) is { } slice)
            {
                try
                {
                    for (; at.Index < end.Index && at.Index < slice.End.Index; at = at.Plus(1))
                    {
                        await CheckOldMappingAsync(slice, at).ConfigureAwait(false);
                        if (slice.EntryOf(at) != default)
                        {
                            _tables.MarkDirty(slice);
                            ReplaceEntry(slice, at, L2Entry.Unallocated, ReleasedRoom.GiveBack);
                        }
                    }
                }
                finally
                {
                    _tables.Unpin(slice);
                }
            }
            else
            {
                tableFull = true;
            }
        }

        if (tableFull)
        {
            await GrowRefcountTableAsync().ConfigureAwait(false);
        }

        return at;
    }

    /// <summary>Moves the L1 table to a longer place if it has fewer entries: the copy durable before the header refers to it, and that before the old place is given back.</summary>
    private async ValueTask EnsureL1EntriesAsync(int count)
    {
        while (_tables.L1.Count < count)
        {
            bool tableFull = false;
            await _writeBack.RunAloneAsync(async () =>
            {
                long length = (long)count * L1Entry.Size;
                if (await _allocator.AllocateContiguousAsync((int)_geometry.ClustersFor(length)).ConfigureAwait(false) is not { } place)
                {
                    tableFull = true;
                    return;
                }

                await MoveL1Async(place, count).ConfigureAwait(false);
            }).ConfigureAwait(false);
            if (tableFull)
            {
                await GrowRefcountTableAsync().ConfigureAwait(false);
            }
        }
    }

    private async ValueTask MoveL1Async(HostRun place, int count)
    {
        WordTable old = _tables.L1;
        HostOffset start = place.First.Offset(_geometry);
        var longer = new WordTable(start, old.CopyTo(count));
        try
        {
            _guard.Add(start, (long)count * L1Entry.Size, MetadataKind.L1Table);
            await _file.WriteAsync(start.Value, WordTable.ToBytes(longer.CopyTo(count)), CancellationToken.None).ConfigureAwait(false);
            await _writeBack.FlushLockedAsync().ConfigureAwait(false); // the counts of the new place too
        }
        catch
        {
            ReturnTable(start, (long)count * L1Entry.Size);
            throw;
        }

        // If this fails, the disk may refer to either place until the next flush has settled it: the new place then stays taken.
        await _header.UpdateAsync(header => header with { L1Size = (uint)count, L1TableOffset = start }).ConfigureAwait(false);
        _tables.ReplaceL1(longer);
        if (old.Count > 0)
        {
            ReturnTable(old.Start, (long)old.Count * L1Entry.Size);
        }
    }
}
