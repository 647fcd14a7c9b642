using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

// Zeroes, discards and copies from below: changes of mappings that move no data, or none that the guest could see.
internal sealed partial class Qcow2Node
{
    private enum ZeroIntent
    {
        /// <summary>Read as zeroes, keep the room.</summary>
        Keep,

        /// <summary>Read as zeroes, give the room back.</summary>
        Unmap,

        /// <summary>Give the room back; reading as before is fine, reading what lies below is not.</summary>
        Discard,

        /// <summary>Zeroes from below: only where nothing is allocated.</summary>
        Populate,
    }

    private enum ZeroOutcome
    {
        /// <summary>Done, or nothing to do.</summary>
        Done,

        /// <summary>This version of the format cannot say it: zeroes have to be written.</summary>
        WriteData,
    }

    private protected override async ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        ZeroIntent intent = (flags & ZeroFlags.MayUnmap) != 0 ? ZeroIntent.Unmap : ZeroIntent.Keep;
        bool mayWrite = (flags & ZeroFlags.NoFallback) == 0;
        long end = offset + length;
        if (IsRawData)
        {
            await ZeroRawDataAsync(offset, length, flags, cancellationToken).ConfigureAwait(false);
            return;
        }

        long firstWhole = Alignment.RoundUp(offset, _geometry.SubclusterSize);
        long endWhole = end == Length ? EndOfUnits(end) : Alignment.RoundDown(end, _geometry.SubclusterSize);
        if (firstWhole >= endWhole)
        {
            await ZeroPartAsync(offset, length, mayWrite, cancellationToken).ConfigureAwait(false);
            return;
        }

        if (firstWhole > offset)
        {
            await ZeroPartAsync(offset, firstWhole - offset, mayWrite, cancellationToken).ConfigureAwait(false);
            cancellationToken = CancellationToken.None; // something was submitted: the request runs to its end
        }

        await ZeroClustersAsync(firstWhole, endWhole, intent, mayWrite, cancellationToken).ConfigureAwait(false);
        await ZeroPartAsync(endWhole, Math.Max(0, end - endWhole), mayWrite, CancellationToken.None).ConfigureAwait(false);
    }

    private protected override ValueTask DiscardCoreAsync(long offset, long length, CancellationToken cancellationToken)
        => IsRawData ? DiscardRawDataAsync(offset, length, cancellationToken)
            : ZeroClustersAsync(offset, EndOfUnits(offset + length), ZeroIntent.Discard, mayWrite: false, cancellationToken);

    private protected override ValueTask PopulateCoreAsync(long offset, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
        => _options.CopyStore.StoreAsync(this, offset, buffer, cancellationToken);

    /// <summary>What <see cref="CopyStore.Safe"/> does.</summary>
    internal async ValueTask StoreWhereNothingIsAsync(long offset, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
    {
        var at = new GuestOffset(offset);
        while (!buffer.IsEmpty)
        {
            await PrepareToWriteAsync().ConfigureAwait(false);
            ClusterMapping run = await LookupAsync(at, buffer.Length).ConfigureAwait(false);
            int done = (int)run.Length;
            if (!run.IsAllocated)
            {
                done = await WriteNewAsync(at, buffer[..done], WriteIntent.Populate, cancellationToken).ConfigureAwait(false);
                cancellationToken = done > 0 ? CancellationToken.None : cancellationToken; // bytes were submitted: the request runs to its end
            }

            at = at.Plus(done);
            buffer = buffer[done..];
        }
    }

    private protected override ValueTask PopulateZeroesCoreAsync(long offset, long length, CancellationToken cancellationToken)
        => IsRawData ? ValueTask.CompletedTask // nothing lies below, and what is not mapped reads as zeroes
            : ZeroClustersAsync(offset, EndOfUnits(offset + length), ZeroIntent.Populate, mayWrite: true, cancellationToken);

    /// <summary>Where a range of whole (sub)clusters ends: the end of the disk is the end of its cluster.</summary>
    private long EndOfUnits(long end) => end == Length ? Alignment.RoundUp(end, _geometry.ClusterSize) : end;

    /// <summary>Zeroes a part of one (sub)cluster.</summary>
    private async ValueTask ZeroPartAsync(long offset, long length, bool mayWrite, CancellationToken cancellationToken)
    {
        while (length > 0)
        {
            ClusterMapping run = await LookupAsync(new GuestOffset(offset), length).ConfigureAwait(false);
            if (!(run.IsZero || (run.Kind == ClusterKind.Unallocated && !HasBacking)))
            {
                if (!mayWrite)
                {
                    throw NoZeroWithoutWriting(offset);
                }

                await WriteZeroBytesAsync(offset, run.Length, cancellationToken).ConfigureAwait(false);
                cancellationToken = CancellationToken.None;
            }

            offset += run.Length;
            length -= run.Length;
        }
    }

    /// <summary>Changes the mapping of whole clusters; of whole subclusters, where the image has them.</summary>
    private async ValueTask ZeroClustersAsync(long start, long stopAt, ZeroIntent intent, bool mayWrite, CancellationToken cancellationToken)
    {
        var end = new GuestOffset(stopAt);
        for (var at = new GuestOffset(start); at.Value < end.Value;)
        {
            await PrepareToWriteAsync().ConfigureAwait(false);
            if (_writeBack.IsFull)
            {
                await _writeBack.FlushAsync(CancellationToken.None).ConfigureAwait(false);
            }

            if (SkipUnmappedTable(at.Cluster(_geometry), intent) is { } next)
            {
                at = next;
                continue;
            }

            ZeroStep step;
            using (await _allocationLock.EnterAsync(cancellationToken).ConfigureAwait(false))
            {
                try
                {
                    step = await ZeroInSliceLockedAsync(at, end, intent).ConfigureAwait(false);
                }
                catch (ImageFormatException) when (_guard.Evidence is not null)
                {
                    await MarkCorruptLockedAsync().ConfigureAwait(false);
                    throw;
                }
            }

            if (step.Busy is { } busy)
            {
                await busy.WaitAsync(cancellationToken).ConfigureAwait(false);
            }
            else if (step.TableFull)
            {
                await GrowRefcountTableAsync().ConfigureAwait(false);
            }

            if (step.Next.Value > at.Value)
            {
                await GiveDataBackAsync(at, step.Next, intent).ConfigureAwait(false);
                cancellationToken = CancellationToken.None; // mappings were changed: the request runs to its end
            }

            at = step.Next;
            if (step.Outcome == ZeroOutcome.WriteData)
            {
                GuestOffset stop = Min(end, at.Cluster(_geometry).Plus(1).Offset(_geometry));
                await WriteZeroClusterAsync(at.Value, stop.Value, intent, mayWrite, cancellationToken).ConfigureAwait(false);
                cancellationToken = CancellationToken.None;
                at = stop;
            }
        }
    }

    /// <summary>Where to go on when there is no L2 table here and nothing below would show through: all of it reads as zeroes already.</summary>
    private GuestOffset? SkipUnmappedTable(GuestCluster at, ZeroIntent intent)
    {
        bool nothingToDo = !HasBacking && intent != ZeroIntent.Populate && !_tables.L1EntryOf(at).IsAllocated;
        return nothingToDo ? new GuestCluster((at.L1Index(_geometry) + 1) << _geometry.L2Bits).Offset(_geometry) : null;
    }

    private async ValueTask<ZeroStep> ZeroInSliceLockedAsync(GuestOffset first, GuestOffset end, ZeroIntent intent)
    {
        if (_inFlight.Find(first.Cluster(_geometry)) is { } other)
        {
            return new ZeroStep(first, Busy: other.Done);
        }

        if (await EnsureSliceAsync(first.Cluster(_geometry)).ConfigureAwait(false) is not { } slice)
        {
            return new ZeroStep(first, TableFull: true);
        }

        try
        {
            GuestOffset at = first;
            for (GuestCluster cluster = at.Cluster(_geometry); at.Value < end.Value && cluster.Index < slice.End.Index && _inFlight.Find(cluster) is null; cluster = at.Cluster(_geometry))
            {
                await CheckOldMappingAsync(slice, cluster).ConfigureAwait(false);
                ExtendedL2Entry old = slice.EntryOf(cluster);
                GuestOffset stop = Min(end, cluster.Plus(1).Offset(_geometry));
                ExtendedL2Entry? zeroed = HasSubclusters ? ZeroedEntry(old, SubclustersIn(cluster, at, stop), intent)
                    : ZeroEntryFor(old.Cluster, intent) is { } standard ? new ExtendedL2Entry(standard, 0)
                    : null;
                if (zeroed is not { } entry)
                {
                    return new ZeroStep(at, Outcome: ZeroOutcome.WriteData);
                }

                if (entry != old)
                {
                    _tables.MarkDirty(slice);
                    ReplaceEntry(slice, cluster, entry.Cluster, ReleasedRoom.GiveBack, entry.Subclusters);
                }

                at = stop;
            }

            return new ZeroStep(at);
        }
        finally
        {
            _tables.Unpin(slice);
        }
    }

    /// <summary>The entry that says what is wanted, perhaps the old one; null when zeroes have to be written as data.</summary>
    private L2Entry? ZeroEntryFor(L2Entry old, ZeroIntent intent)
    {
        bool canSayZero = Header.Version >= 3;
        switch (old.Kind)
        {
            case ClusterKind.ZeroPlain:
            case ClusterKind.Unallocated when !HasBacking && intent != ZeroIntent.Populate:
                return old;
            case not ClusterKind.Unallocated when intent == ZeroIntent.Populate:
                return old;
            case ClusterKind.ZeroAllocated when intent == ZeroIntent.Keep:
                return old;
            case ClusterKind.Data when intent == ZeroIntent.Keep && canSayZero && old.IsCopied:
                return L2Entry.ForZeroAllocated(old.HostOffset);
            default:
                return canSayZero ? L2Entry.ZeroPlain
                    : intent == ZeroIntent.Discard ? HasBacking ? old : L2Entry.Unallocated
                    : intent == ZeroIntent.Unmap && !HasBacking ? L2Entry.Unallocated
                    : null;
        }
    }

    private async ValueTask WriteZeroClusterAsync(long offset, long end, ZeroIntent intent, bool mayWrite, CancellationToken cancellationToken)
    {
        long length = Math.Min(end, Length) - offset;
        if (!mayWrite)
        {
            throw NoZeroWithoutWriting(offset);
        }

        if (intent != ZeroIntent.Populate)
        {
            await WriteZeroBytesAsync(offset, length, cancellationToken).ConfigureAwait(false);
            return;
        }

        using PooledBuffer zeroes = Environment.Buffers.Rent((int)length);
        zeroes.Span.Clear();
        await PopulateCoreAsync(offset, zeroes.Memory, cancellationToken).ConfigureAwait(false);
    }

    private async ValueTask WriteZeroBytesAsync(long offset, long length, CancellationToken cancellationToken)
    {
        while (length > 0)
        {
            int piece = (int)Math.Min(length, ZeroBytes.Block.Length);
            await WriteSlowAsync(new GuestOffset(offset), ZeroBytes.Block[..piece], cancellationToken).ConfigureAwait(false);
            cancellationToken = CancellationToken.None;
            offset += piece;
            length -= piece;
        }
    }

    private BlockLayerException NoZeroWithoutWriting(long offset)
        => Error(BlockErrorKind.Unsupported, $"'{NodeName}' cannot say zero at offset {offset} without writing zeroes.", offset);

    /// <summary>How far a look under the allocation lock came, and what has to happen before it goes on.</summary>
    private readonly record struct ZeroStep(
        GuestOffset Next, ZeroOutcome Outcome = ZeroOutcome.Done, Completion? Busy = null, bool TableFull = false);
}
