using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Requests;

namespace BlockLayer.Filters;

// Guests' requests: to the source and marked, or to both sides.
internal partial class LiveCopyNode
{
    private protected override ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, ReadFlags flags, CancellationToken cancellationToken)
        => Guests.Counted(base.ReadCoreAsync(offset, buffer, flags, cancellationToken));

    private protected override ValueTask WriteCoreAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        var range = new ByteRange(offset, buffer.Length);
        return IsBlocking
            ? Guests.Counted(ChangeBothAsync(new Change(range) { Data = buffer, Flags = flags }, cancellationToken))
            : Guests.Counted(Marking(base.WriteCoreAsync(offset, buffer, flags, cancellationToken), range));
    }

    private protected override ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        var range = new ByteRange(offset, length);
        return IsBlocking
            ? Guests.Counted(ChangeBothAsync(new Change(range) { Zeroes = flags }, cancellationToken))
            : Guests.Counted(Marking(base.WriteZeroesCoreAsync(offset, length, flags, cancellationToken), range));
    }

    private protected override ValueTask DiscardCoreAsync(long offset, long length, CancellationToken cancellationToken)
    {
        var range = new ByteRange(offset, length);
        return IsBlocking
            ? Guests.Counted(ChangeBothAsync(new Change(range) { Zeroes = ZeroFlags.MayUnmap }, cancellationToken))
            : Guests.Counted(Marking(base.DiscardCoreAsync(offset, length, cancellationToken), range));
    }

    private ValueTask Marking(ValueTask change, ByteRange range)
    {
        if (!change.IsCompletedSuccessfully)
        {
            return MarkingAsync(change, range);
        }

        change.GetAwaiter().GetResult(); // hands a pooled source back
        Mark(range, DirtyCause.GuestChanged);
        return ValueTask.CompletedTask;
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask MarkingAsync(ValueTask change, ByteRange range)
    {
        try
        {
            await change.ConfigureAwait(false);
        }
        finally
        {
            Mark(range, DirtyCause.GuestChanged); // a change that failed may have got somewhere
        }
    }

    private async ValueTask ChangeBothAsync(Change change, CancellationToken cancellationToken)
    {
        Exception? sourceError;
        Exception? targetError;
        ByteRange claimed = _copiesWholeUnits ? change.Range.RoundOut(Dirty.Granularity).ClampTo(Length) : change.Range;
        using (await _order.EnterAsync(claimed, ClaimMode.Exclusive, cancellationToken).ConfigureAwait(false))
        {
            if (_copiesWholeUnits)
            {
                sourceError = await TryAsync(change.ApplyToSourceAsync(Filtered)).ConfigureAwait(false);
                targetError = (await CopyClaimedAsync(claimed).ConfigureAwait(false)).Error;
            }
            else
            {
                ValueTask<Exception?> target = TryAsync(change.ApplyToTargetAsync(_target!));
                sourceError = await TryAsync(change.ApplyToSourceAsync(Filtered)).ConfigureAwait(false);
                targetError = await target.ConfigureAwait(false);
            }

            if (sourceError is not null)
            {
                Mark(change.Range, DirtyCause.GuestChanged);
            }

            if (targetError is not null)
            {
                Mark(claimed, DirtyCause.CopyFailed);
            }
        }

        if (targetError is not null)
        {
            _setup.TargetFailed(targetError);
        }

        if (sourceError is not null)
        {
            ExceptionDispatchInfo.Throw(sourceError);
        }
    }

    private static async ValueTask<Exception?> TryAsync(ValueTask request)
    {
        try
        {
            await request.ConfigureAwait(false);
            return null;
        }
        catch (Exception error)
        {
            return error;
        }
    }

    /// <summary>What a guest wants in a range: bytes or, where there are none, zeroes. It is carried to its end on each side.</summary>
    private readonly record struct Change(ByteRange Range)
    {
        internal ReadOnlyMemory<byte> Data { get; init; }

        internal WriteFlags Flags { get; init; }

        internal ZeroFlags Zeroes { get; init; }

        internal ValueTask ApplyToSourceAsync(BlockEdge source)
            => Data.IsEmpty
                ? source.WriteZeroesAsync(Range.Offset, Range.Length, Zeroes, CancellationToken.None)
                : source.WriteAsync(Range.Offset, Data, CancellationToken.None, Flags);

        // How the bytes get there is the target's affair: it need not be able to do what the source can.
        internal ValueTask ApplyToTargetAsync(BlockEdge target)
            => Data.IsEmpty
                ? target.WriteZeroesAsync(Range.Offset, Range.Length, Zeroes & ~ZeroFlags.NoFallback, CancellationToken.None)
                : target.WriteAsync(Range.Offset, Data, CancellationToken.None);
    }
}
