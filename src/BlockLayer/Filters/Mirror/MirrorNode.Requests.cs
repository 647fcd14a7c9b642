using System.Runtime.ExceptionServices;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Requests;

namespace BlockLayer.Filters;

// Guests' requests: from one side, to both, or comparing them.
public sealed partial class MirrorNode
{
    private protected override ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, ReadFlags flags, CancellationToken cancellationToken)
        => _options.Reads == MirrorReads.Source || State != MirrorState.Mirroring
            ? base.ReadCoreAsync(offset, buffer, flags, cancellationToken)
            : ReadDestinationAsync(offset, buffer, cancellationToken);

    private protected override ValueTask WriteCoreAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
        => ChangeAsync(Change.ToBytes(offset, buffer), cancellationToken);

    private protected override ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
        => (flags & ZeroFlags.NoFallback) == 0
            ? ChangeAsync(Change.ToZeroes(new ByteRange(offset, length), flags), cancellationToken)
            : throw Error(BlockErrorKind.Unsupported, $"'{NodeName}' ({DriverName}) cannot promise that neither of its sides writes zeroes as data.", offset);

    private protected override ValueTask DiscardCoreAsync(long offset, long length, CancellationToken cancellationToken)
        => ChangeAsync(Change.ToZeroes(new ByteRange(offset, length), ZeroFlags.MayUnmap), cancellationToken);

    private protected override async ValueTask FlushCoreAsync(CancellationToken cancellationToken)
    {
        ThrowIfStopped();
        bool both = _options.Flush == MirrorFlush.Both;
        if (both && _options.Ack == MirrorAck.Source)
        {
            // A turn behind every change that was begun: what was acknowledged has reached the destination then.
            using RangeClaims.Claim turn = await _order.EnterAsync(new ByteRange(0, long.MaxValue), ClaimMode.Shared, cancellationToken).ConfigureAwait(false);
        }

        await FlushSidesAsync(both).ConfigureAwait(false);
        if (Interlocked.Exchange(ref _late, null) is { } late)
        {
            ExceptionDispatchInfo.Throw(late);
        }
    }

    private async ValueTask FlushSidesAsync(bool both)
    {
        var first = new FirstFailure();
        ValueTask<Exception?> destination = both && State == MirrorState.Mirroring
            ? TryAsync(_destination.FlushAsync(CancellationToken.None), first)
            : default;
        Exception? sourceError = await TryAsync(Filtered.FlushAsync(CancellationToken.None), first).ConfigureAwait(false);
        Exception? destinationError = await destination.ConfigureAwait(false);
        if (sourceError is not null || destinationError is not null)
        {
            _regions.DistrustNoted();
        }

        Tell(first, sourceError, destinationError);
    }

    private async ValueTask ReadDestinationAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        var range = new ByteRange(offset, buffer.Length);
        // Where the destination may lag behind what was acknowledged, or both sides have to be seen at one moment, changes are kept out.
        bool alone = _options.Reads == MirrorReads.Compare || _options.Ack == MirrorAck.Source;
        using RangeClaims.Claim? claim = alone ? await _order.EnterAsync(range, ClaimMode.Shared, cancellationToken).ConfigureAwait(false) : null;
        if (State == MirrorState.Mirroring && !_regions.MayDiffer(range))
        {
            bool answered = _options.Reads == MirrorReads.Compare
                ? await CompareAsync(offset, buffer).ConfigureAwait(false)
                : await TryReadDestinationAsync(offset, buffer).ConfigureAwait(false);
            if (answered)
            {
                return;
            }
        }

        await base.ReadCoreAsync(offset, buffer, ReadFlags.None, cancellationToken).ConfigureAwait(false);
    }

    // False: the destination failed and was given up, so the source is to answer.
    private async ValueTask<bool> TryReadDestinationAsync(long offset, Memory<byte> buffer)
    {
        try
        {
            await _destination.ReadAsync(offset, buffer, CancellationToken.None).ConfigureAwait(false);
            return true;
        }
        catch (BlockLayerException error)
        {
            NoteDestinationFailure(error);
            if (_options.OnDestinationError != MirrorErrorPolicy.Detach)
            {
                throw;
            }

            return false;
        }
    }

    private async ValueTask<bool> CompareAsync(long offset, Memory<byte> buffer)
    {
        using PooledBuffer other = Environment.Buffers.Rent(buffer.Length);
        var first = new FirstFailure();
        ValueTask<Exception?> destination = TryAsync(_destination.ReadAsync(offset, other.Memory, CancellationToken.None), first);
        Exception? sourceError = await TryAsync(Filtered.ReadAsync(offset, buffer, CancellationToken.None), first).ConfigureAwait(false);
        Exception? destinationError = await destination.ConfigureAwait(false);
        Tell(first, sourceError, destinationError);
        if (destinationError is not null)
        {
            return false;
        }

        SideComparison.ThrowIfDifferent(offset, Filtered.Child, buffer.Span, _destination.Child, other.Span);
        return true;
    }

    private async ValueTask ChangeAsync(Change change, CancellationToken cancellationToken)
    {
        ThrowIfStopped();
        RangeClaims.Claim claim = await _order.EnterAsync(change.Range, ClaimMode.Exclusive, cancellationToken).ConfigureAwait(false);
        bool isHandedOn = false;
        try
        {
            ThrowIfStopped();
            await _regions.EnterAsync(change.Range).ConfigureAwait(false);
            isHandedOn = State == MirrorState.Mirroring && _options.Ack == MirrorAck.Source
                ? await ChangeSourceFirstAsync(change, claim).ConfigureAwait(false)
                : await ChangeBothAsync(change).ConfigureAwait(false);
        }
        finally
        {
            if (!isHandedOn)
            {
                claim.Dispose();
            }
        }
    }

    private async ValueTask<bool> ChangeBothAsync(Change change)
    {
        var first = new FirstFailure();
        bool both = State == MirrorState.Mirroring;
        ValueTask<Exception?> destination = both ? TryAsync(change.ApplyAsync(_destination), first) : default;
        Exception? sourceError = await TryAsync(change.ApplyAsync(Filtered), first).ConfigureAwait(false);
        Exception? destinationError = await destination.ConfigureAwait(false);
        Leave(change.Range, differs: !both || sourceError is not null || destinationError is not null);
        Tell(first, sourceError, destinationError);
        return false;
    }

    // True: the destination still writes, and whoever waits for it now holds the claim.
    private async ValueTask<bool> ChangeSourceFirstAsync(Change change, RangeClaims.Claim claim)
    {
        // The caller's buffer is the caller's again once the source has it.
        int copied = change.Data.Length;
        PooledBuffer copy = Environment.Buffers.Rent(copied);
        change.Data.CopyTo(copy.Memory);
        Change behind = change with { Data = copy.Memory };
        bool mayFollow = Interlocked.Add(ref _behind, copied) <= MirrorLimits.MaxBytesBehind;
        var unheard = new FirstFailure();
        Task<Exception?> destination = TryAsync(behind.ApplyAsync(_destination), unheard).AsTask();
        Exception? sourceError = await TryAsync(change.ApplyAsync(Filtered), unheard).ConfigureAwait(false);
        if (sourceError is null && mayFollow && !destination.IsCompleted)
        {
            int slot = Gate.Enter(); // the request that leaves counts on
            _ = FollowAsync(slot);
            return true;
        }

        await SettleAsync().ConfigureAwait(false);
        if (sourceError is not null)
        {
            ExceptionDispatchInfo.Throw(sourceError);
        }

        return false;

        async Task FollowAsync(int slot)
        {
            await SettleAsync().ConfigureAwait(false);
            claim.Dispose();
            Gate.Exit(slot);
        }

        async ValueTask SettleAsync()
        {
            Exception? destinationError = await destination.ConfigureAwait(false);
            copy.Dispose();
            Interlocked.Add(ref _behind, -copied);
            if (destinationError is not null)
            {
                NoteDestinationFailure(destinationError);
                if (_options.OnDestinationError != MirrorErrorPolicy.Detach)
                {
                    Interlocked.CompareExchange(ref _late, destinationError, null);
                }
            }

            Leave(change.Range, differs: sourceError is not null || destinationError is not null);
        }
    }

    private void Leave(ByteRange range, bool differs)
    {
        _regions.Leave(range, differs);
        ArmTimer();
    }

    // A destination that is given up fails nobody; otherwise the failure that came first is the request's.
    private void Tell(FirstFailure first, Exception? sourceError, Exception? destinationError)
    {
        if (destinationError is not null)
        {
            NoteDestinationFailure(destinationError);
        }

        if (_options.OnDestinationError != MirrorErrorPolicy.Detach)
        {
            first.Throw();
        }
        else if (sourceError is not null)
        {
            ExceptionDispatchInfo.Throw(sourceError);
        }
    }

    /// <summary>What a range of both sides is to hold: bytes or, where there are none, zeroes. It is carried to its end on each.</summary>
    private readonly record struct Change
    {
        internal required ByteRange Range { get; init; }

        internal ReadOnlyMemory<byte> Data { get; init; }

        private ZeroFlags Zeroes { get; init; }

        internal static Change ToBytes(long offset, ReadOnlyMemory<byte> data) => new() { Range = new ByteRange(offset, data.Length), Data = data };

        internal static Change ToZeroes(ByteRange range, ZeroFlags flags) => new() { Range = range, Zeroes = flags };

        internal ValueTask ApplyAsync(BlockEdge side)
            => Data.IsEmpty
                ? side.WriteZeroesAsync(Range.Offset, Range.Length, Zeroes, CancellationToken.None)
                : side.WriteAsync(Range.Offset, Data, CancellationToken.None);
    }
}
