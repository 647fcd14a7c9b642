using BlockLayer.Errors;
using BlockLayer.Primitives;
using BlockLayer.Requests;

namespace BlockLayer.Filters;

// The slow half of a guest's read: of what is not allocated yet, piece by piece, from copies or by reading through.
public sealed partial class CopyOnReadNode
{
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
}
