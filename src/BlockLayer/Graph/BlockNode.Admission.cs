using System.Runtime.CompilerServices;
using BlockLayer.Errors;
using BlockLayer.Primitives;
using BlockLayer.Requests;
using BlockLayer.Storage;

namespace BlockLayer.Graph;

// The way in for reads and writes: a front without waiting or allocation for the plain case, one asynchronous path for everything else.
public abstract partial class BlockNode
{
    private const int SectorSize = 512; // what a disk writes whole, as the contract puts it

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
        Tracked = 64,
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
    /// <exception cref="BlockLayerException">
    /// OutOfRange, ReadOnly, Conflict (a parent does not share writing), NoSpace, Io, Corrupt; Unsupported with <see cref="WriteFlags.Compressed"/> where
    /// the limits do not promise it.
    /// </exception>
    public ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
        => WriteAsync(Origin.Door, offset, buffer, flags, cancellationToken);

    /// <summary>Serves an admitted read: in bounds, whole units of <see cref="BlockLimits.RequestAlignment"/>, not empty.</summary>
    private protected abstract ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, ReadFlags flags, CancellationToken cancellationToken);

    /// <summary>
    /// Serves an admitted write: in bounds (or past the end of a node that grows), whole units of <see cref="BlockLimits.RequestAlignment"/>, not empty,
    /// never with <see cref="WriteFlags.Fua"/>.
    /// </summary>
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
        => origin == Origin.Door
            ? DoorFlags.Closed | DoorFlags.Unaligned | DoorFlags.Disposed | DoorFlags.NoWrite | DoorFlags.Tracked
            : DoorFlags.Unaligned | DoorFlags.Tracked;

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
            while (!buffer.IsEmpty)
            {
                int piece = WholePiece(offset, buffer.Length);
                if (piece > 0)
                {
                    await ReadCoreAsync(offset, buffer[..piece], flags, cancellationToken).ConfigureAwait(false);
                }
                else
                {
                    piece = await ReadUnitAsync(offset, buffer, flags, cancellationToken).ConfigureAwait(false);
                }

                cancellationToken = CancellationToken.None; // begun, so carried to its end
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
            if (buffer.IsEmpty)
            {
                return;
            }

            using (MarkChange(offset, buffer.Length))
            {
                await WritePiecesAsync(offset, buffer, flags & ~WriteFlags.Fua, cancellationToken).ConfigureAwait(false);
            }

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
        using RangeClaims.Claim? claim = Limits.RequestAlignment > 1
            ? await ClaimAsync(new ByteRange(offset, buffer.Length), cancellationToken).ConfigureAwait(false)
            : null;
        while (!buffer.IsEmpty)
        {
            int piece = WholePiece(offset, buffer.Length);
            if (piece > 0)
            {
                await WriteCoreAsync(offset, buffer[..piece], flags, cancellationToken).ConfigureAwait(false);
            }
            else
            {
                piece = await WriteUnitAsync(offset, buffer, flags, cancellationToken).ConfigureAwait(false);
            }

            cancellationToken = CancellationToken.None; // begun, so carried to its end
            offset += piece;
            buffer = buffer[piece..];
        }
    }

    // Read-modify-write keeps everybody else out of the units it rewrites; an aligned write only has to stay out of those.
    private ValueTask<RangeClaims.Claim> ClaimAsync(ByteRange range, CancellationToken cancellationToken)
    {
        RangeClaims claims = _claims ?? Interlocked.CompareExchange(ref _claims, new RangeClaims(), null) ?? _claims;
        int unit = Limits.RequestAlignment;
        ClaimMode mode = WholeUnits(range, unit) == range ? ClaimMode.Shared : ClaimMode.Exclusive;
        long first = Alignment.RoundDown(range.Offset, unit);
        long end = range.End <= long.MaxValue - unit ? Alignment.RoundUp(range.End, unit) : long.MaxValue;
        return claims.EnterAsync(new ByteRange(first, end - first), mode, cancellationToken);
    }

    // How many of the next bytes the driver takes as they are: none where they begin or end inside a unit. The end of the node ends a unit.
    private int WholePiece(long offset, int length)
    {
        int alignment = Limits.RequestAlignment;
        if (!Alignment.IsAligned(offset, alignment))
        {
            return 0;
        }

        if (length > _maxTransfer)
        {
            // Cut between sectors: where writes overlap, every sector ends as one of the writers'.
            return (int)(Alignment.RoundDown(offset + _maxTransfer, Math.Max(alignment, SectorSize)) - offset);
        }

        return length >= Length - offset ? length : (int)Alignment.RoundDown(length, alignment);
    }

    // The part of a range that is whole units of this node; the end of the node ends a unit.
    private ByteRange WholeUnits(ByteRange range, int unit)
    {
        long skip = -range.Offset & (unit - 1);
        long end = range.End >= Length ? range.End : Alignment.RoundDown(range.End, unit);
        long length = end - range.Offset - skip;
        return length > 0 ? new ByteRange(range.Offset + skip, length) : new ByteRange(range.Offset, 0);
    }

    // Reads the unit that a request begins or ends in, and takes the part that was asked for.
    private async ValueTask<int> ReadUnitAsync(long offset, Memory<byte> buffer, ReadFlags flags, CancellationToken cancellationToken)
    {
        int alignment = Limits.RequestAlignment;
        long start = Alignment.RoundDown(offset, alignment);
        using PooledBuffer unit = Environment.Buffers.Rent((int)Math.Min(alignment, Length - start));
        await ReadCoreAsync(start, unit.Memory, flags, cancellationToken).ConfigureAwait(false);
        ReadOnlySpan<byte> found = unit.Span[(int)(offset - start)..];
        int wanted = Math.Min(found.Length, buffer.Length);
        found[..wanted].CopyTo(buffer.Span);
        return wanted;
    }

    // Reads the unit that a request begins or ends in, changes it and writes it back, under the claim of the request. Past the end it is zeroes, and the
    // node grows no further than the request asks.
    private async ValueTask<int> WriteUnitAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        int alignment = Limits.RequestAlignment;
        long start = Alignment.RoundDown(offset, alignment);
        long present = Math.Max(0, Length - start);
        long needed = offset - start + buffer.Length;
        using PooledBuffer unit = Environment.Buffers.Rent((int)Math.Min(alignment, Math.Max(present, needed)));
        Memory<byte> old = unit.Memory[..(int)Math.Min(unit.Memory.Length, present)];
        if (!old.IsEmpty)
        {
            await ReadCoreAsync(start, old, ReadFlags.None, cancellationToken).ConfigureAwait(false);
        }

        unit.Span[old.Length..].Clear();
        Span<byte> changed = unit.Span[(int)(offset - start)..];
        int wanted = Math.Min(changed.Length, buffer.Length);
        buffer.Span[..wanted].CopyTo(changed);
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
                throw Refused((flags & WriteFlags.Unchanged) != 0 ? ImagePermissions.WriteUnchanged : ImagePermissions.Write, "written");
            }
        }

        if ((flags & WriteFlags.Compressed) != 0 && !Limits.SupportsCompressedWrites)
        {
            throw Error(BlockErrorKind.Unsupported, $"'{NodeName}' ({DriverName}) cannot store compressed data.", offset);
        }

        ThrowIfOutside(offset, length, origin == Origin.Edge && GrowsOnWrite ? long.MaxValue : Length);
    }
}
