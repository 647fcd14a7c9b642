using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Requests;

namespace BlockLayer.Filters;

// Making the sides equal again, and forgetting regions that are.
public sealed partial class MirrorNode
{
    /// <summary>
    /// Copies the source over the destination wherever they may differ, while guests go on, and flushes both. A destination that was given up is taken back first.
    /// </summary>
    /// <param name="progress">Told how far it is, in bytes of the virtual disk.</param>
    /// <param name="cancellationToken">Honoured between pieces; what was not copied stays noted.</param>
    /// <exception cref="BlockLayerException">
    /// Conflict: the destination became shorter than the disk. ReadOnly, NoSpace, Io: a side failed; what was not copied stays noted.
    /// </exception>
    public async ValueTask RepairAsync(IProgress<ByteProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        using AsyncLock.Releaser turn = await _repairTurn.EnterAsync(cancellationToken).ConfigureAwait(false);
        ThrowIfStopped();
        if (_destination.Child.IsReadOnly)
        {
            throw Error(BlockErrorKind.ReadOnly, $"'{Destination.NodeName}' is open read-only and cannot be made equal to '{NodeName}'.");
        }

        lock (_gate)
        {
            _destinationError = null;
            Volatile.Write(ref _state, (int)MirrorState.Mirroring);
        }

        int region = -1;
        while ((region = _regions.NextDiffering(region + 1)) >= 0)
        {
            cancellationToken.ThrowIfCancellationRequested();
            long end = await RepairRegionAsync(region, cancellationToken).ConfigureAwait(false);
            progress?.Report(new ByteProgress(end, Length));
        }

        await CleanAsync(sparesRecent: false).ConfigureAwait(false);
    }

    /// <summary>The first offset from <paramref name="from"/> on at which the sides may differ; null if there is none. For jobs, which choose their own steps.</summary>
    internal long? FindDiffering(long from)
    {
        RegionGeometry geometry = _regions.Geometry;
        int region = from >= geometry.Length ? -1 : _regions.NextDiffering((int)(from >> geometry.RegionBits));
        return region < 0 ? null : Math.Max(from, geometry.RangeOf(region).Offset);
    }

    /// <summary>Copies one region from the source, if a resize has not made it vanish. Enters like a request from outside.</summary>
    /// <returns>Where the region ends, in bytes.</returns>
    internal async ValueTask<long> RepairRegionAsync(int region, CancellationToken cancellationToken)
    {
        int slot = await EnterAsync(Origin.Door, cancellationToken).ConfigureAwait(false);
        try
        {
            RegionGeometry geometry = _regions.Geometry;
            if (region >= geometry.Count)
            {
                return geometry.Length;
            }

            ByteRange range = geometry.RangeOf(region);
            if (range.End > _destination.Child.Length)
            {
                throw Error(
                    BlockErrorKind.OutOfRange,
                    $"'{Destination.NodeName}' is {_destination.Child.Length} bytes long and cannot mirror the {Length} bytes of '{NodeName}'; grow it first.");
            }

            await _regions.EnterAsync(range).ConfigureAwait(false);
            _regions.BeginRepair(region);
            bool succeeded = false;
            try
            {
                for (long at = range.Offset; at < range.End;)
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    at += await CopyPieceAsync(new ByteRange(at, range.End - at)).ConfigureAwait(false);
                }

                succeeded = true;
            }
            finally
            {
                _regions.EndRepair(region, succeeded);
                Leave(range, differs: false);
            }

            return range.End;
        }
        finally
        {
            Gate.Exit(slot);
        }
    }

    /// <summary>Copies from the beginning of a range as much as is known to be zero, or one piece.</summary>
    private async ValueTask<long> CopyPieceAsync(ByteRange rest)
    {
        using RangeClaims.Claim claim = await _order.EnterAsync(rest, ClaimMode.Exclusive, CancellationToken.None).ConfigureAwait(false);
        BlockStatus status = await Filtered.GetStatusAsync(rest.Offset, rest.Length, StatusDepth.Chain, CancellationToken.None).ConfigureAwait(false);
        if (status.IsZero)
        {
            await WriteDestinationAsync(Change.ToZeroes(new ByteRange(rest.Offset, status.Length), ZeroFlags.MayUnmap)).ConfigureAwait(false);
            return status.Length;
        }

        int piece = (int)Math.Min(status.Length, MirrorLimits.RepairPiece);
        using PooledBuffer buffer = Environment.Buffers.Rent(piece);
        await Filtered.ReadAsync(rest.Offset, buffer.Memory, CancellationToken.None).ConfigureAwait(false);
        Change copy = ZeroBytes.IsAllZero(buffer.Span)
            ? Change.ToZeroes(new ByteRange(rest.Offset, piece), ZeroFlags.MayUnmap)
            : Change.ToBytes(rest.Offset, buffer.Memory);
        await WriteDestinationAsync(copy).ConfigureAwait(false);
        return piece;
    }

    private async ValueTask WriteDestinationAsync(Change change)
    {
        try
        {
            await change.ApplyAsync(_destination).ConfigureAwait(false);
        }
        catch (BlockLayerException error)
        {
            NoteDestinationFailure(error);
            throw;
        }
    }

    /// <summary>Flushes both sides and forgets the regions in which nothing was written meanwhile.</summary>
    /// <param name="sparesRecent">Regions that were written since the last call stay noted: they are likely to be written again.</param>
    private async ValueTask CleanAsync(bool sparesRecent)
    {
        using AsyncLock.Releaser turn = await _cleanTurn.EnterAsync().ConfigureAwait(false);
        if (State == MirrorState.Mirroring && _regions.BeginClean(sparesRecent))
        {
            await FlushSidesAsync(both: true).ConfigureAwait(false);
            if (State == MirrorState.Mirroring)
            {
                await _regions.EndCleanAsync().ConfigureAwait(false);
            }
        }
    }

    // The timer's call enters like a request from outside: a drain holds it back, and closing waits for it.
    private async Task CleanInBackgroundAsync()
    {
        lock (_gate)
        {
            _isTimed = false;
        }

        int slot;
        try
        {
            slot = await EnterAsync(Origin.Door, CancellationToken.None).ConfigureAwait(false);
        }
        catch (ObjectDisposedException)
        {
            return; // closing cleans by itself
        }

        try
        {
            await CleanAsync(sparesRecent: true).ConfigureAwait(false);
        }
        catch (BlockLayerException)
        {
            // Nobody waits for this, and nothing is lost: regions stay noted, and a side that failed tells the next flush or is in the status.
        }
        finally
        {
            Gate.Exit(slot);
        }

        ArmTimer();
    }

    private void ArmTimer()
    {
        lock (_gate)
        {
            if (!_isTimed && State == MirrorState.Mirroring && _timer is not null && _regions.HasCleanable)
            {
                _isTimed = _timer.Change(_options.CleanAfter, Timeout.InfiniteTimeSpan);
            }
        }
    }
}
