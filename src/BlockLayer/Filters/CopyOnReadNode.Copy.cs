using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Requests;

namespace BlockLayer.Filters;

// The slow half: reads of what is not allocated yet, and the copies they and the job make.
public sealed partial class CopyOnReadNode
{
    /// <summary>
    /// Copies what a range lacks, for a job. Memory is waited for before anything else; parts that guests write meanwhile, or whose copy by
    /// somebody else fails, are left: the job looks again.
    /// </summary>
    /// <param name="origin">Whether a drain holds the copy back; a job that holds the drain itself says <see cref="Origin.Edge"/>.</param>
    /// <param name="range">At most <see cref="CopyQueue.MaxPiece"/> bytes unless all of it is zero; whole units except at the end of the disk.</param>
    /// <param name="memory">Bytes to reserve: the range's units, or 0 where all of it is known to be zero.</param>
    /// <param name="cancellationToken">Honoured until the fetch starts.</param>
    internal async ValueTask<CopyOutcome> CopyUpAsync(Origin origin, ByteRange range, long memory, CancellationToken cancellationToken)
    {
        await _queue.Memory.ReserveAsync(memory, cancellationToken).ConfigureAwait(false);
        List<CopyShare>? shares = null;
        try
        {
            int slot = await EnterAsync(origin, cancellationToken).ConfigureAwait(false);
            try
            {
                List<CopyExtent> lacking = await CopyPlan.MakeAsync(Filtered.Child, Bottom, range, cancellationToken).ConfigureAwait(false);
                if (memory == 0)
                {
                    lacking.RemoveAll(extent => !extent.IsZero); // written or moved since it was looked at: the job looks again
                }

                cancellationToken.ThrowIfCancellationRequested();
                shares = _queue.Claim(lacking, Length, CopyPurpose.Job, memory);
                return await CopySharesAsync(shares).ConfigureAwait(false);
            }
            finally
            {
                Gate.Exit(slot);
            }
        }
        finally
        {
            if (shares is null)
            {
                _queue.Memory.Release(memory);
            }
        }
    }

    /// <summary>Who decides the run at <paramref name="offset"/>, down to <see cref="Bottom"/>: how a job finds what is next.</summary>
    /// <param name="origin">As for <see cref="CopyUpAsync"/>.</param>
    /// <param name="offset">Guest offset in bytes.</param>
    /// <param name="cancellationToken">Honoured while a drain holds the question back.</param>
    internal async ValueTask<BlockStatus> GetCopyStatusAsync(Origin origin, long offset, CancellationToken cancellationToken)
    {
        int slot = await EnterAsync(origin, cancellationToken).ConfigureAwait(false);
        try
        {
            return await BackingChain.GetStatusAsync(Origin.Edge, Filtered.Child, Bottom, offset, Length - offset, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            Gate.Exit(slot);
        }
    }

    private async ValueTask<CopyOutcome> CopySharesAsync(List<CopyShare> shares)
    {
        var outcome = new CopyOutcome(0, null, CopyStep.Read);
        foreach (CopyShare share in shares)
        {
            if (share is not { IsMine: true, Copy: { } copy })
            {
                continue;
            }

            if (await FetchAsync(copy).ConfigureAwait(false) is { } readError)
            {
                outcome = outcome.Error is null ? outcome with { Error = readError, FailedStep = CopyStep.Read } : outcome;
                continue;
            }

            Exception? writeError = await StoreAsync(copy).ConfigureAwait(false);
            outcome = outcome with { StoredBytes = outcome.StoredBytes + copy.StoredBytes };
            outcome = writeError is not null && outcome.Error is null ? outcome with { Error = writeError, FailedStep = CopyStep.Write } : outcome;
        }

        foreach (CopyShare share in shares)
        {
            if (share is { IsMine: false, Copy: { } copy })
            {
                await copy.Finished.WaitAsync().ConfigureAwait(false);
                _queue.DropUser(copy);
            }
        }

        return outcome;
    }

    private async ValueTask ReadLackingAsync(ValueTask<bool> allocated, long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        if (await allocated.ConfigureAwait(false))
        {
            await Filtered.ReadAsync(offset, buffer, cancellationToken).ConfigureAwait(false);
            return;
        }

        while (!buffer.IsEmpty)
        {
            int piece = PieceAt(offset, buffer.Length);
            await ReadPieceAsync(new ByteRange(offset, piece), buffer[..piece], cancellationToken).ConfigureAwait(false);
            offset += piece;
            buffer = buffer[piece..];
        }
    }

    private async ValueTask ReadPieceAsync(ByteRange piece, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        List<CopyExtent> lacking = await CopyPlan.MakeAsync(Filtered.Child, Bottom, Widen(piece), cancellationToken).ConfigureAwait(false);
        if (!lacking.Exists(extent => extent.Range.Overlaps(piece)))
        {
            await Filtered.ReadAsync(piece.Offset, buffer, cancellationToken).ConfigureAwait(false);
            return;
        }

        cancellationToken.ThrowIfCancellationRequested();
        List<CopyShare> shares = _queue.Claim(lacking, Length, CopyPurpose.GuestRead);
        try
        {
            foreach (CopyShare share in shares)
            {
                if (share is { IsMine: true, Copy: { } copy })
                {
                    await FetchAsync(copy).ConfigureAwait(false);
                }
            }

            await AnswerAsync(piece, buffer, lacking, shares, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            await StoreOwnAsync(shares).ConfigureAwait(false);
        }
    }

    // Whole units around a piece, and more if the strategy wants it, within one aligned piece of the most that is copied at once.
    private ByteRange Widen(ByteRange piece)
    {
        ByteRange units = piece.RoundOut(_queue.UnitSize);
        ByteRange widened = _queue.Strategy.Widen(units).RoundOut(_queue.UnitSize);
        long first = Alignment.RoundDown(units.Offset, _queue.MaxPiece);
        long start = Math.Clamp(widened.Offset, first, units.Offset);
        long end = Math.Clamp(widened.End, units.End, first + _queue.MaxPiece);
        return new ByteRange(start, end - start).ClampTo(Length);
    }

    // Fills the caller's buffer: lacking parts from copies, everything else by reading through.
    private async ValueTask AnswerAsync(
        ByteRange piece,
        Memory<byte> buffer,
        List<CopyExtent> lacking,
        List<CopyShare> shares,
        CancellationToken cancellationToken)
    {
        long at = piece.Offset;
        foreach (CopyShare share in shares)
        {
            foreach (CopyExtent extent in lacking)
            {
                ByteRange part = Intersection(Intersection(extent.Range, share.Range), piece);
                if (part.IsEmpty || share.Copy is not { } copy || !copy.Covers(part) || !await IsFetchedAsync(copy, part, cancellationToken).ConfigureAwait(false))
                {
                    continue;
                }

                await ReadThroughAsync(piece, buffer, at, part.Offset, cancellationToken).ConfigureAwait(false);
                copy.CopyTo(part, buffer.Span.Slice((int)(part.Offset - piece.Offset), (int)part.Length));
                at = part.End;
            }
        }

        await ReadThroughAsync(piece, buffer, at, piece.End, cancellationToken).ConfigureAwait(false);
    }

    // Waits for a copy's bytes. A fetch that failed fails those who want all of it; one that covers more than the caller wants may have
    // failed elsewhere, so the caller reads its own bytes once, and gets its own error.
    private static async ValueTask<bool> IsFetchedAsync(RangeCopy copy, ByteRange wanted, CancellationToken cancellationToken)
    {
        try
        {
            await copy.Fetched.WaitAsync(cancellationToken).ConfigureAwait(false);
            return true;
        }
        catch (BlockLayerException) when (!wanted.Contains(copy.Source))
        {
            return false;
        }
    }

    private ValueTask ReadThroughAsync(ByteRange piece, Memory<byte> buffer, long from, long to, CancellationToken cancellationToken)
        => from == to
            ? ValueTask.CompletedTask
            : Filtered.ReadAsync(from, buffer.Slice((int)(from - piece.Offset), (int)(to - from)), cancellationToken);

    private async ValueTask StoreOwnAsync(List<CopyShare> shares)
    {
        foreach (CopyShare share in shares)
        {
            if (share.Copy is not { } copy)
            {
                continue;
            }

            if (!share.IsMine)
            {
                _queue.DropUser(copy);
            }
            else if (copy.Finished.IsCompleted)
            {
                continue; // its fetch failed
            }
            else if (_queue.Strategy.Reply == CopyReply.AfterStore)
            {
                await StoreAsync(copy).ConfigureAwait(false);
            }
            else
            {
                StoreBehind(copy);
            }
        }
    }

    // The caller is answered while the store runs. It holds a place in the gate, so that drain and close wait for it; its failure is the
    // queue's to count and the job's to meet, never the reader's.
    private void StoreBehind(RangeCopy copy)
    {
        int slot = Gate.Enter();
        _ = Environment.Work.StartAsync(async () =>
        {
            try
            {
                await StoreAsync(copy).ConfigureAwait(false);
            }
            finally
            {
                Gate.Exit(slot);
            }
        });
    }

    // Reads the source under no caller's token: others wait for it too. Returns the error instead of throwing it, after giving the copy up.
    private async ValueTask<Exception?> FetchAsync(RangeCopy copy)
    {
        try
        {
            if (!copy.Source.IsEmpty)
            {
                copy.Rent(Environment.Buffers);
                BlockNode source = Filtered.Child.Backing ?? throw Error(BlockErrorKind.Conflict, $"'{NodeName}' lost its backing file while it was copied from.");
                await source.ReadPaddedAsync(Origin.Edge, copy.Source.Offset, copy.Buffer, ReadFlags.Prefetch, CancellationToken.None).ConfigureAwait(false);
            }
        }
        catch (Exception error)
        {
            _queue.Abandon(copy, error);
            return error;
        }

        copy.Fetched.Complete();
        return null;
    }

    // Stores unit by unit what nobody has cancelled. Stops at the first failure: what is left is let go and stays lacking.
    private async ValueTask<Exception?> StoreAsync(RangeCopy copy)
    {
        Exception? failure = null;
        while (failure is null && _queue.TryBeginStore(copy, out ByteRange units))
        {
            try
            {
                foreach (CopyExtent extent in copy.Extents)
                {
                    ByteRange part = Intersection(extent.Range, units);
                    if (!part.IsEmpty)
                    {
                        await StorePartAsync(copy, part, extent.IsZero).ConfigureAwait(false);
                    }
                }
            }
            catch (Exception error)
            {
                failure = error;
            }

            _queue.EndStore(copy, units, failure);
        }

        _queue.Finish(copy);
        return failure;
    }

    private ValueTask StorePartAsync(RangeCopy copy, ByteRange part, bool isZero)
        => isZero || ZeroBytes.IsAllZero(copy.Bytes(part).Span)
            ? Filtered.PopulateZeroesAsync(part.Offset, part.Length, CancellationToken.None)
            : Filtered.PopulateAsync(part.Offset, copy.Bytes(part), CancellationToken.None);

    private static ByteRange Intersection(ByteRange one, ByteRange other)
    {
        long first = Math.Max(one.Offset, other.Offset);
        return new ByteRange(first, Math.Max(0, Math.Min(one.End, other.End) - first));
    }
}
