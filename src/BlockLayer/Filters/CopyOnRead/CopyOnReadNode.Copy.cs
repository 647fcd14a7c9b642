using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Requests;

namespace BlockLayer.Filters;

// Making copies: for a job, and the fetch and the stores that a job and guests share.
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
                List<CopyExtent> lacking;
                try
                {
                    lacking = await CopyPlan.MakeAsync(Filtered.Child, Bottom, range, cancellationToken).ConfigureAwait(false);
                }
                catch (BlockLayerException error)
                {
                    return new CopyOutcome(0, error, CopyStep.Read); // what is to be read is not known
                }

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

    /// <summary>Who decides the run at the start of <paramref name="range"/>, down to <see cref="Bottom"/>: how a job finds what is next.</summary>
    /// <param name="origin">As for <see cref="CopyUpAsync"/>.</param>
    /// <param name="range">Guest bytes. The answer looks at no more of them than the run has, so nobody asks about more than he is going to use.</param>
    /// <param name="cancellationToken">Honoured while a drain holds the question back.</param>
    internal async ValueTask<BlockStatus> GetCopyStatusAsync(Origin origin, ByteRange range, CancellationToken cancellationToken)
    {
        int slot = await EnterAsync(origin, cancellationToken).ConfigureAwait(false);
        try
        {
            return await BackingChain.GetStatusAsync(Origin.Edge, Filtered.Child, Bottom, range.Offset, range.Length, cancellationToken).ConfigureAwait(false);
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
