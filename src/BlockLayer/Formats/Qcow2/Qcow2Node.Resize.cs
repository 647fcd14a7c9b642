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
        _data.ThrowIfNotWithinReach(); // the rest of a cluster is zeroed, in the midst of it
        ThrowIfSizeIsFixed(length);
        ThrowIfNotWholeSectors(length);

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
            await CutFileAsync().ConfigureAwait(false);
        }
    }

    private void ThrowIfNotWholeSectors(long length)
    {
        if (_data.IsEncrypted && length % SectorCipher.SectorSize != 0)
        {
            throw Error(BlockErrorKind.Unsupported, $"'{NodeName}' is encrypted in sectors of {SectorCipher.SectorSize} bytes; {length} is no multiple of that.");
        }
    }

    /// <exception cref="BlockLayerException">Unsupported: snapshots rely on the size, as in QEMU.</exception>
    private void ThrowIfSizeIsFixed(long length)
    {
        if (length != Length && Header.SnapshotCount > 0 && Header.Version < 3)
        {
            throw Error(BlockErrorKind.Unsupported, $"'{NodeName}' has snapshots, which need not say their size in version 2, so its own cannot change; amend compat=1.1 first.");
        }
    }

    /// <summary>
    /// Makes room in the L1 table, and hides what the new part would show: a longer backing file, the rest of the cluster that the disk ended in, which another program
    /// may have cut without zeroing it, or old mappings, such as the VM state of a snapshot that was loaded. All of it durable before the new size is.
    /// </summary>
    private async ValueTask GrowAsync(long oldLength, long length, CancellationToken cancellationToken)
    {
        GuestCluster mapped = new((long)_tables.L1.Count << _geometry.L2Bits);
        long firstWhole = Alignment.RoundUp(oldLength, _geometry.ClusterSize);
        await DropMappingsAsync(new GuestOffset(firstWhole).Cluster(_geometry), mapped).ConfigureAwait(false);
        await EnsureL1EntriesAsync((int)_geometry.L1EntriesFor(length)).ConfigureAwait(false);
        long below = BackingEdge is { } backing ? backing.Child.Length : HasBacking ? long.MaxValue : 0; // one that was not opened may have any length
        long shown = Math.Min(length, Math.Max(below, firstWhole));
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
        GuestCluster end = new GuestOffset(Alignment.RoundUp(oldLength, _geometry.ClusterSize)).Cluster(_geometry);
        await DropMappingsAsync(new GuestOffset(firstWhole).Cluster(_geometry), end).ConfigureAwait(false);
        await DropEmptyTablesAsync((int)_geometry.L1EntriesFor(length), (int)_geometry.L1EntriesFor(oldLength)).ConfigureAwait(false);
        await SettleAsync().ConfigureAwait(false); // what was dropped has room for a copy of the last cluster, should it be shared
        await ZeroPartAsync(length, partEnd - length, mayWrite: true, cancellationToken).ConfigureAwait(false);
    }

    private async ValueTask DropMappingsAsync(GuestCluster first, GuestCluster end)
    {
        for (GuestCluster at = first; at.Index < end.Index;)
        {
            if (_writeBack.IsFull)
            {
                await _writeBack.FlushAsync(CancellationToken.None).ConfigureAwait(false);
            }

            at = await DropInSliceAsync(at, end).ConfigureAwait(false);
        }
    }

    /// <summary>Lets L2 tables go that map nothing any more. The L1 table keeps its length.</summary>
    private async ValueTask DropEmptyTablesAsync(int first, int end)
    {
        await _writeBack.FlushAsync(CancellationToken.None).ConfigureAwait(false); // a table that is to be written still has its place
        using AsyncLock.Releaser held = await _allocationLock.EnterAsync().ConfigureAwait(false);
        for (int i = first; i < end; i++)
        {
            if (new L1Entry(_tables.L1[i]) is { IsAllocated: true } entry)
            {
                _tables.L1[i] = L1Entry.Unallocated.Raw;
                _allocator.Release(entry.L2Table.Cluster(_geometry), ReleasedRoom.GiveBack);
            }
        }
    }

    /// <summary>
    /// Cuts off what of the file nobody uses. Refcount blocks lie among the clusters they count and would hold the end of the file where it is, so they are written anew.
    /// </summary>
    private async ValueTask CutFileAsync()
    {
        try
        {
            await ExchangeTablesAsync(_ => new(new TableExchange(_tables.L1, _geometry, static header => header)), CancellationToken.None).ConfigureAwait(false);
            await PrepareToWriteAsync().ConfigureAwait(false);
            await _writeBack.RunAloneAsync(async () =>
            {
                var end = new HostCluster(_geometry.ClustersFor(_file.Child.Length));
                HostCluster inUse = await _refcounts.EndOfUseAsync(end).ConfigureAwait(false);
                if (inUse != end)
                {
                    await _file.ResizeAsync(inUse.Offset(_geometry).Value, new ResizeOptions { AllowShrink = true }, CancellationToken.None).ConfigureAwait(false);
                }
            }).ConfigureAwait(false);
        }
        catch (BlockLayerException error) when (error.Kind != BlockErrorKind.Corrupt)
        {
            // A favour that was refused, as by a block device: the new size is durable, and the clusters are free.
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
