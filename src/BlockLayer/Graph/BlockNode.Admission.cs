using System.Runtime.CompilerServices;
using BlockLayer.Errors;
using BlockLayer.Primitives;
using BlockLayer.Requests;

namespace BlockLayer.Graph;

// The way in for reads and writes: a front without waiting or allocation for the plain case, one asynchronous path for everything else.
public abstract partial class BlockNode
{
    private RangeClaims? _claims; // made on first use; only nodes with an alignment have any
    private int _maxTransfer = int.MaxValue & ~0xfffff;
    private int _door; // interlocked; DoorFlags

    [Flags]
    private enum DoorFlags
    {
        None = 0,
        Closed = 1,
        Unaligned = 2,
        NoWrite = 4,
        NoWriteUnchanged = 8,
        NoResize = 16,
        Disposed = 32,
    }

    /// <summary>Reads exactly <paramref name="buffer"/>.</summary>
    /// <param name="offset">Guest offset in bytes, any alignment.</param>
    /// <param name="buffer">Filled when the call completes; not to be touched before.</param>
    /// <param name="flags">How.</param>
    /// <param name="cancellationToken">Honoured until the read is submitted.</param>
    /// <exception cref="BlockLayerException">OutOfRange, Io, Corrupt.</exception>
    public ValueTask ReadAsync(long offset, Memory<byte> buffer, ReadFlags flags = ReadFlags.None, CancellationToken cancellationToken = default)
        => ReadAsync(Origin.Door, offset, buffer, flags, cancellationToken);

    /// <summary>Writes all of <paramref name="buffer"/>.</summary>
    /// <param name="offset">Guest offset in bytes, any alignment.</param>
    /// <param name="buffer">Not to be changed before the call completes.</param>
    /// <param name="flags">How.</param>
    /// <param name="cancellationToken">Honoured until the write is submitted.</param>
    /// <exception cref="BlockLayerException">OutOfRange, ReadOnly, Conflict, NoSpace, Io, Corrupt.</exception>
    public ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
        => WriteAsync(Origin.Door, offset, buffer, flags, cancellationToken);

    /// <summary>Serves an admitted read: in bounds, aligned to the limits, not empty.</summary>
    private protected abstract ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, ReadFlags flags, CancellationToken cancellationToken);

    /// <summary>Serves an admitted write: in bounds (or past the end of a node that grows), aligned, not empty, never with <see cref="WriteFlags.Fua"/>.</summary>
    private protected abstract ValueTask WriteCoreAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken);

    /// <summary>True when a write past the end grows the node, as a file does.</summary>
    private protected virtual bool GrowsOnWrite => false;

    /// <summary><see cref="GrowsOnWrite"/>, for a filter to ask of its child.</summary>
    internal bool GrowsBelow => GrowsOnWrite;

    internal ValueTask ReadAsync(Origin origin, long offset, Memory<byte> buffer, ReadFlags flags, CancellationToken cancellationToken)
    {
        int slot = Gate.Enter(); // before the bounds are read: a resize waits for whoever is inside
        long length = Length;
        if ((Volatile.Read(ref _door) & (int)SlowReads(origin)) != 0
            || (ulong)offset > (ulong)length || buffer.Length > length - offset || buffer.IsEmpty || buffer.Length > _maxTransfer
            || cancellationToken.IsCancellationRequested)
        {
            Gate.Exit(slot);
            return ReadSlowAsync(origin, offset, buffer, flags, cancellationToken);
        }

        ValueTask read;
        try
        {
            read = ReadCoreAsync(offset, buffer, flags, cancellationToken);
        }
        catch (Exception error)
        {
            Gate.Exit(slot);
            return ValueTask.FromException(error);
        }

        return Leave(read, slot);
    }

    internal ValueTask WriteAsync(Origin origin, long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        int slot = Gate.Enter(); // before the bounds are read: a resize waits for whoever is inside
        long length = Length;
        if ((Volatile.Read(ref _door) & (int)SlowWrites(origin)) != 0
            || (ulong)offset > (ulong)length || buffer.Length > length - offset || buffer.IsEmpty || buffer.Length > _maxTransfer
            || flags != WriteFlags.None || cancellationToken.IsCancellationRequested)
        {
            Gate.Exit(slot);
            return WriteSlowAsync(origin, offset, buffer, flags, cancellationToken);
        }

        ValueTask write;
        try
        {
            write = WriteCoreAsync(offset, buffer, flags, cancellationToken);
        }
        catch (Exception error)
        {
            Gate.Exit(slot);
            return ValueTask.FromException(error);
        }

        return Leave(write, slot);
    }

    private static DoorFlags SlowReads(Origin origin)
        => origin == Origin.Door ? DoorFlags.Closed | DoorFlags.Unaligned | DoorFlags.Disposed : DoorFlags.Unaligned;

    private static DoorFlags SlowWrites(Origin origin)
        => origin == Origin.Door ? DoorFlags.Closed | DoorFlags.Unaligned | DoorFlags.Disposed | DoorFlags.NoWrite : DoorFlags.Unaligned;

    private void SetDoorFlag(DoorFlags flag, bool set)
    {
        if (set)
        {
            Interlocked.Or(ref _door, (int)flag);
        }
        else
        {
            Interlocked.And(ref _door, ~(int)flag);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ValueTask Leave(ValueTask request, int slot)
    {
        if (!request.IsCompletedSuccessfully)
        {
            return LeaveLaterAsync(request, slot);
        }

        request.GetAwaiter().GetResult(); // hands a pooled source back
        Gate.Exit(slot);
        return ValueTask.CompletedTask;
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask LeaveLaterAsync(ValueTask request, int slot)
    {
        try
        {
            await request.ConfigureAwait(false);
        }
        finally
        {
            Gate.Exit(slot);
        }
    }

    /// <summary>Counts a request in; one from outside first waits until no drain holds the door.</summary>
    private protected async ValueTask<int> EnterAsync(Origin origin, CancellationToken cancellationToken)
    {
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            int slot = Gate.Enter();
            var door = (DoorFlags)Volatile.Read(ref _door);
            if (origin == Origin.Edge || (door & (DoorFlags.Closed | DoorFlags.Disposed)) == 0)
            {
                return slot;
            }

            Gate.Exit(slot);
            ObjectDisposedException.ThrowIf((door & DoorFlags.Disposed) != 0, this);
            Completion? reopened;
            lock (Environment.TopologyLock)
            {
                reopened = _reopened;
            }

            if (reopened is not null)
            {
                await reopened.WaitAsync(cancellationToken).ConfigureAwait(false);
            }
        }
    }

    private async ValueTask ReadSlowAsync(Origin origin, long offset, Memory<byte> buffer, ReadFlags flags, CancellationToken cancellationToken)
    {
        ThrowIfOutside(offset, buffer.Length, Length);
        int slot = await EnterAsync(origin, cancellationToken).ConfigureAwait(false);
        try
        {
            ThrowIfOutside(offset, buffer.Length, Length); // a resize may have come first
            int alignment = Limits.RequestAlignment;
            while (!buffer.IsEmpty)
            {
                int piece = Math.Min(buffer.Length, _maxTransfer);
                if (Alignment.IsAligned(offset | (uint)piece, alignment))
                {
                    await ReadCoreAsync(offset, buffer[..piece], flags, cancellationToken).ConfigureAwait(false);
                }
                else
                {
                    piece = await ReadAroundAsync(new ByteRange(offset, piece), buffer, flags, cancellationToken).ConfigureAwait(false);
                }

                offset += piece;
                buffer = buffer[piece..];
            }
        }
        finally
        {
            Gate.Exit(slot);
        }
    }

    private async ValueTask WriteSlowAsync(Origin origin, long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        ThrowIfUnwritable(origin, offset, buffer.Length, flags);
        int slot = await EnterAsync(origin, cancellationToken).ConfigureAwait(false);
        try
        {
            ThrowIfUnwritable(origin, offset, buffer.Length, flags);
            await WritePiecesAsync(offset, buffer, flags & ~WriteFlags.Fua, cancellationToken).ConfigureAwait(false);
            if ((flags & WriteFlags.Fua) != 0)
            {
                await FlushCoreAsync(CancellationToken.None).ConfigureAwait(false);
            }
        }
        finally
        {
            Gate.Exit(slot);
        }
    }

    private async ValueTask WritePiecesAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        int alignment = Limits.RequestAlignment;
        using RangeClaims.Claim? claim = alignment > 1
            ? await ClaimAsync(new ByteRange(offset, buffer.Length), cancellationToken).ConfigureAwait(false)
            : null;
        while (!buffer.IsEmpty)
        {
            int piece = Math.Min(buffer.Length, _maxTransfer);
            if (Alignment.IsAligned(offset | (uint)piece, alignment))
            {
                await WriteCoreAsync(offset, buffer[..piece], flags, cancellationToken).ConfigureAwait(false);
            }
            else
            {
                piece = await WriteAroundAsync(new ByteRange(offset, piece), buffer, flags, cancellationToken).ConfigureAwait(false);
            }

            offset += piece;
            buffer = buffer[piece..];
        }
    }

    // Read-modify-write keeps everybody else out of the units it rewrites; an aligned write only has to stay out of those.
    private ValueTask<RangeClaims.Claim> ClaimAsync(ByteRange range, CancellationToken cancellationToken)
    {
        RangeClaims claims = _claims ?? Interlocked.CompareExchange(ref _claims, new RangeClaims(), null) ?? _claims;
        ByteRange aligned = range.RoundOut(Limits.RequestAlignment);
        return claims.EnterAsync(aligned, aligned == range ? ClaimMode.Shared : ClaimMode.Exclusive, cancellationToken);
    }

    // The head or tail of an unaligned read: at most one alignment unit, or the aligned middle.
    private async ValueTask<int> ReadAroundAsync(ByteRange range, Memory<byte> buffer, ReadFlags flags, CancellationToken cancellationToken)
    {
        int alignment = Limits.RequestAlignment;
        int skip = (int)(range.Offset - Alignment.RoundDown(range.Offset, alignment));
        if (skip == 0 && range.Length >= alignment)
        {
            int whole = (int)Alignment.RoundDown(range.Length, alignment);
            await ReadCoreAsync(range.Offset, buffer[..whole], flags, cancellationToken).ConfigureAwait(false);
            return whole;
        }

        using PooledBuffer unit = Environment.Buffers.Rent(alignment);
        await ReadCoreAsync(range.Offset - skip, unit.Memory, flags, cancellationToken).ConfigureAwait(false);
        int wanted = (int)Math.Min(alignment - skip, range.Length);
        unit.Span.Slice(skip, wanted).CopyTo(buffer.Span);
        return wanted;
    }

    private async ValueTask<int> WriteAroundAsync(ByteRange range, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        int alignment = Limits.RequestAlignment;
        int skip = (int)(range.Offset - Alignment.RoundDown(range.Offset, alignment));
        if (skip == 0 && range.Length >= alignment)
        {
            int whole = (int)Alignment.RoundDown(range.Length, alignment);
            await WriteCoreAsync(range.Offset, buffer[..whole], flags, cancellationToken).ConfigureAwait(false);
            return whole;
        }

        using PooledBuffer unit = Environment.Buffers.Rent(alignment);
        long start = range.Offset - skip;
        int present = (int)Math.Clamp(Length - start, 0, alignment);
        unit.Span[present..].Clear();
        if (present > 0)
        {
            await ReadCoreAsync(start, unit.Memory[..present], ReadFlags.None, cancellationToken).ConfigureAwait(false);
        }

        int wanted = (int)Math.Min(alignment - skip, range.Length);
        buffer.Span[..wanted].CopyTo(unit.Span[skip..]);
        await WriteCoreAsync(start, unit.Memory, flags, cancellationToken).ConfigureAwait(false);
        return wanted;
    }

    private void ThrowIfOutside(long offset, long length, long end)
    {
        if (offset < 0 || length < 0 || offset > end || length > end - offset)
        {
            throw Error(
                BlockErrorKind.OutOfRange,
                $"{length} bytes at offset {offset} lie outside '{NodeName}', which is {Length} bytes long.",
                offset);
        }
    }

    private void ThrowIfUnwritable(Origin origin, long offset, long length, WriteFlags flags)
    {
        if (origin == Origin.Door)
        {
            DoorFlags refusal = (flags & WriteFlags.Unchanged) != 0 ? DoorFlags.NoWriteUnchanged : DoorFlags.NoWrite;
            if ((Volatile.Read(ref _door) & (int)refusal) != 0)
            {
                throw WriteRefused("written");
            }
        }

        ThrowIfOutside(offset, length, origin == Origin.Edge && GrowsOnWrite ? long.MaxValue : Length);
    }
}
