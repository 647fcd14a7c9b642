using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Requests;

namespace BlockLayer.Filters;

// Copies for the job. Each counts as a request inside, so a drain waits for it, and holds it back unless the job drains itself.
internal partial class LiveCopyNode
{
    /// <summary>Copies a range, and clears its marks or, where it fails, sets them again.</summary>
    /// <param name="origin">Whether a drain holds the copy back; a job that holds the drain itself says <see cref="Origin.Edge"/>.</param>
    /// <param name="range">Whole units of <see cref="Dirty"/>, except at the end of the disk.</param>
    /// <param name="cancellationToken">Honoured until the copy has its claim.</param>
    internal async ValueTask<CopyOutcome> CopyAsync(Origin origin, ByteRange range, CancellationToken cancellationToken)
    {
        Interlocked.Add(ref _inFlight, range.Length);
        try
        {
            int slot = await EnterAsync(origin, cancellationToken).ConfigureAwait(false);
            try
            {
                using RangeClaims.Claim claim = await _order.EnterAsync(range, ClaimMode.Exclusive, cancellationToken).ConfigureAwait(false);
                Dirty.Clear(range.Offset, range.Length); // before the source is read: what changes from here on is marked again
                return await CopyClaimedAsync(range).ConfigureAwait(false);
            }
            finally
            {
                Gate.Exit(slot);
            }
        }
        finally
        {
            Interlocked.Add(ref _inFlight, -range.Length);
        }
    }

    /// <summary>What the source's chain knows of a run: how the job decides how far a step goes.</summary>
    internal ValueTask<BlockStatus> GetSourceStatusAsync(Origin origin, ByteRange range, CancellationToken cancellationToken)
        => GetStatusAsync(origin, range.Offset, range.Length, StatusDepth.Chain, cancellationToken);

    /// <summary>What the images of the source down to <paramref name="bottom"/> decide.</summary>
    internal async ValueTask<BlockStatus> GetSourceStatusAsync(BlockNode bottom, ByteRange range, CancellationToken cancellationToken)
    {
        int slot = await EnterAsync(Origin.Door, cancellationToken).ConfigureAwait(false);
        try
        {
            return await BackingChain.GetStatusAsync(Origin.Edge, Filtered.Child, bottom, range.Offset, range.Length, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            Gate.Exit(slot);
        }
    }

    /// <summary>What the target's chain knows of a run.</summary>
    internal ValueTask<BlockStatus> GetTargetStatusAsync(ByteRange range, CancellationToken cancellationToken)
        => _target!.GetStatusAsync(range.Offset, range.Length, StatusDepth.Chain, cancellationToken);

    // The caller holds the claim. What has not been copied when something fails is marked.
    private async ValueTask<CopyOutcome> CopyClaimedAsync(ByteRange range)
    {
        long at = range.Offset;
        var step = CopyStep.Read;
        try
        {
            while (at < range.End)
            {
                step = CopyStep.Read;
                BlockStatus status = await Filtered.GetStatusAsync(at, range.End - at, StatusDepth.Chain, CancellationToken.None).ConfigureAwait(false);
                if (status.IsZero)
                {
                    step = CopyStep.Write;
                    await _target!.WriteZeroesAsync(at, status.Length, ZeroFlags.MayUnmap, CancellationToken.None).ConfigureAwait(false);
                    at += status.Length;
                    continue;
                }

                int length = (int)Math.Min(status.Length, MaxPiece);
                using PooledBuffer buffer = Environment.Buffers.Rent(length);
                await Filtered.ReadAsync(at, buffer.Memory, CancellationToken.None).ConfigureAwait(false);
                step = CopyStep.Write;
                await _target!.WriteAsync(at, buffer.Memory, CancellationToken.None).ConfigureAwait(false);
                at += length;
            }

            return new CopyOutcome(range.Length, Error: null, step);
        }
        catch (Exception error)
        {
            Mark(new ByteRange(at, range.End - at), DirtyCause.CopyFailed);
            return new CopyOutcome(at - range.Offset, error, step);
        }
    }
}
