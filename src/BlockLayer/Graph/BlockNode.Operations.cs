using System.Diagnostics;
using BlockLayer.Errors;
using BlockLayer.Primitives;
using BlockLayer.Requests;
using BlockLayer.Storage;

namespace BlockLayer.Graph;

// Everything but plain reads and writes.
public abstract partial class BlockNode
{
    /// <summary>Makes a range read as zeroes, without moving zeroes where the format can say so.</summary>
    /// <param name="offset">Guest offset in bytes, any alignment.</param>
    /// <param name="length">Bytes; any length within the node.</param>
    /// <param name="flags">How.</param>
    /// <param name="cancellationToken">Honoured until something is submitted.</param>
    /// <exception cref="BlockLayerException">OutOfRange, ReadOnly, Conflict, NoSpace, Io; Unsupported with <see cref="ZeroFlags.NoFallback"/>.</exception>
    public ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
        => WriteZeroesAsync(Origin.Door, offset, length, flags, cancellationToken);

    /// <summary>
    /// Tells that a range is not needed. Afterwards it reads as before or as zeroes, never as backing data that was hidden. Partial units of
    /// <see cref="BlockLimits.DiscardGranularity"/> at the ends are left alone; the end of the node ends a unit.
    /// </summary>
    /// <exception cref="BlockLayerException">OutOfRange, ReadOnly, Conflict, Io.</exception>
    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
        => DiscardAsync(Origin.Door, offset, length, cancellationToken);

    /// <summary>Makes everything durable that completed before the call.</summary>
    /// <exception cref="BlockLayerException">
    /// NoSpace or Io. A table that could not be written stays dirty and is written by the next flush; a failed sync is final: every later write and
    /// flush of the file fails with the same error until it is reopened.
    /// </exception>
    public ValueTask FlushAsync(CancellationToken cancellationToken = default) => FlushAsync(Origin.Door, cancellationToken);

    /// <summary>What is known of the run that starts at <paramref name="offset"/>; at least one byte, at most <paramref name="length"/>.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="length"/> is 0: nothing was asked.</exception>
    /// <exception cref="BlockLayerException">OutOfRange, Io, Corrupt.</exception>
    public ValueTask<BlockStatus> GetStatusAsync(long offset, long length, StatusDepth depth, CancellationToken cancellationToken = default)
        => GetStatusAsync(Origin.Door, offset, length, depth, cancellationToken);

    /// <summary>
    /// Stores what a reader sees already, copied up from below: only where the range is still unallocated, at the format's own granularity, whatever guests
    /// write meanwhile. Needs only the write-unchanged permission.
    /// </summary>
    /// <param name="offset">Guest offset in bytes, a multiple of <see cref="BlockLimits.SubclusterSize"/>.</param>
    /// <param name="buffer">What the backing chain holds there; whole (sub)clusters, except at the end of the node.</param>
    /// <param name="cancellationToken">Honoured until the store is submitted.</param>
    /// <exception cref="BlockLayerException">Unsupported, ReadOnly, Conflict, NoSpace, Io.</exception>
    public ValueTask PopulateAsync(long offset, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        => PopulateAsync(Origin.Door, offset, buffer, cancellationToken);

    /// <summary>As <see cref="PopulateAsync(long, ReadOnlyMemory{byte}, CancellationToken)"/>, where the chain holds zeroes.</summary>
    public ValueTask PopulateZeroesAsync(long offset, long length, CancellationToken cancellationToken = default)
        => PopulateZeroesAsync(Origin.Door, offset, length, cancellationToken);

    /// <summary>
    /// Changes the length of the virtual disk. Requests that are inside finish first, those that come meanwhile wait and meet the new length. What is added
    /// reads as zeroes.
    /// </summary>
    /// <exception cref="BlockLayerException">OutOfRange (would shrink), ReadOnly, Conflict (a parent does not share resizing), Unsupported, NoSpace, Io.</exception>
    public async ValueTask ResizeAsync(long length, ResizeOptions? options = null, CancellationToken cancellationToken = default)
    {
        options ??= ResizeOptions.GrowOnly;
        ThrowIfNotResizable();
        using GraphChange change = await GraphChange.BeginOnImageAsync(this, cancellationToken).ConfigureAwait(false);
        ThrowIfNotResizable(); // somebody may have come first
        if (length < Length && !options.AllowShrink)
        {
            throw Error(BlockErrorKind.OutOfRange, $"'{NodeName}' is {Length} bytes long and would shrink to {length}, which was not allowed.");
        }

        if (length < 0)
        {
            throw Error(BlockErrorKind.OutOfRange, $"A length of {length} bytes is negative.");
        }

        await ResizeFromEdgeAsync(length, options, cancellationToken).ConfigureAwait(false);
    }

    internal async ValueTask WriteZeroesAsync(Origin origin, long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        ThrowIfUnwritable(origin, offset, length, WriteFlags.None);
        int slot = await EnterAsync(origin, cancellationToken).ConfigureAwait(false);
        try
        {
            ThrowIfUnwritable(origin, offset, length, WriteFlags.None);
            if (length == 0)
            {
                return;
            }

            using (MarkChange(offset, length))
            {
                await ZeroPiecesAsync(new ByteRange(offset, length), flags & ~ZeroFlags.Fua, cancellationToken).ConfigureAwait(false);
            }

            if ((flags & ZeroFlags.Fua) != 0)
            {
                await FlushCoreAsync(CancellationToken.None).ConfigureAwait(false);
            }
        }
        finally
        {
            Gate.Exit(slot);
        }
    }

    internal async ValueTask DiscardAsync(Origin origin, long offset, long length, CancellationToken cancellationToken)
    {
        ThrowIfUnwritable(origin, offset, length, WriteFlags.None);
        int slot = await EnterAsync(origin, cancellationToken).ConfigureAwait(false);
        try
        {
            ThrowIfUnwritable(origin, offset, length, WriteFlags.None);
            ByteRange whole = WholeUnits(new ByteRange(offset, length), Math.Max(Limits.DiscardGranularity, Limits.RequestAlignment));
            if (!whole.IsEmpty)
            {
                // Else a read-modify-write under way could put back what has been seen as discarded.
                using RangeClaims.Claim? claim = Limits.RequestAlignment > 1 ? await ClaimAsync(whole, cancellationToken).ConfigureAwait(false) : null;
                using ChangeMark mark = MarkChange(whole.Offset, whole.Length);
                await DiscardCoreAsync(whole.Offset, whole.Length, cancellationToken).ConfigureAwait(false);
            }
        }
        finally
        {
            Gate.Exit(slot);
        }
    }

    internal async ValueTask FlushAsync(Origin origin, CancellationToken cancellationToken)
    {
        int slot = await EnterAsync(origin, cancellationToken).ConfigureAwait(false);
        try
        {
            await FlushCoreAsync(cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            Gate.Exit(slot);
        }
    }

    internal ValueTask<BlockStatus> GetStatusAsync(Origin origin, long offset, long length, StatusDepth depth, CancellationToken cancellationToken)
        => GetStatusDownToAsync(origin, offset, length, depth == StatusDepth.Node ? this : null, cancellationToken);

    /// <summary>
    /// The status by the images down to <paramref name="bottom"/>, which may be this node; without one, by the whole chain. The question counts as
    /// a request inside this node to its end, so the chain below stays as it is meanwhile.
    /// </summary>
    internal async ValueTask<BlockStatus> GetStatusDownToAsync(Origin origin, long offset, long length, BlockNode? bottom, CancellationToken cancellationToken)
    {
        ThrowIfOutside(offset, length, Length);
        ArgumentOutOfRangeException.ThrowIfZero(length);
        int slot = await EnterAsync(origin, cancellationToken).ConfigureAwait(false);
        try
        {
            ThrowIfOutside(offset, length, Length);
            BlockStatus status = await GetStatusCoreAsync(offset, length, cancellationToken).ConfigureAwait(false);
            Debug.Assert(status.Length > 0 && status.Length <= length, "a status run is at least one byte and at most what was asked for");
            Debug.Assert(!status.IsAllocated || status.Provider is not null, "what is allocated has a provider");
            if (status.IsAllocated || bottom == this || bottom?.SkipFilters() == SkipFilters())
            {
                return status;
            }

            return Backing is { } backing
                ? await BackingChain.GetStatusBelowAsync(backing, offset, status.Length, bottom, cancellationToken).ConfigureAwait(false)
                : status with { Flags = bottom is null ? StatusFlags.Zero : StatusFlags.None };
        }
        finally
        {
            Gate.Exit(slot);
        }
    }

    internal async ValueTask PopulateAsync(Origin origin, long offset, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
    {
        ThrowIfUnwritable(origin, offset, buffer.Length, WriteFlags.Unchanged);
        if (buffer.IsEmpty)
        {
            return;
        }

        int slot = await EnterAsync(origin, cancellationToken).ConfigureAwait(false);
        try
        {
            ThrowIfUnwritable(origin, offset, buffer.Length, WriteFlags.Unchanged);
            AssertPopulateShape(offset, buffer.Length);
            await PopulateCoreAsync(offset, buffer, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            Gate.Exit(slot);
        }
    }

    internal async ValueTask PopulateZeroesAsync(Origin origin, long offset, long length, CancellationToken cancellationToken)
    {
        ThrowIfUnwritable(origin, offset, length, WriteFlags.Unchanged);
        if (length == 0)
        {
            return;
        }

        int slot = await EnterAsync(origin, cancellationToken).ConfigureAwait(false);
        try
        {
            ThrowIfUnwritable(origin, offset, length, WriteFlags.Unchanged);
            AssertPopulateShape(offset, length);
            await PopulateZeroesCoreAsync(offset, length, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            Gate.Exit(slot);
        }
    }

    /// <summary>Reads with zeroes past the end: how a format reads a shorter file or backing node.</summary>
    internal async ValueTask ReadPaddedAsync(Origin origin, long offset, Memory<byte> buffer, ReadFlags flags, CancellationToken cancellationToken)
    {
        int present = (int)Math.Clamp(Length - offset, 0, buffer.Length);
        buffer.Span[present..].Clear();
        if (present > 0)
        {
            await ReadAsync(origin, offset, buffer[..present], flags, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Changes the length on behalf of a parent that holds the resize permission.</summary>
    internal async ValueTask ResizeFromEdgeAsync(long length, ResizeOptions options, CancellationToken cancellationToken)
    {
        ThrowIfBitmapsCannotCover(length);
        await ResizeCoreAsync(length, options, cancellationToken).ConfigureAwait(false);
        TellParentsOfLength();
    }

    /// <summary>Serves admitted zeroes, aligned to <see cref="BlockLimits.RequestAlignment"/>. The default writes zeroes as data.</summary>
    private protected virtual async ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        if ((flags & ZeroFlags.NoFallback) != 0)
        {
            throw Error(BlockErrorKind.Unsupported, $"'{NodeName}' ({DriverName}) cannot say zero without writing zeroes.", offset);
        }

        while (length > 0)
        {
            int piece = (int)Math.Min(Math.Min(length, _maxTransfer), ZeroBytes.Block.Length);
            await WriteCoreAsync(offset, ZeroBytes.Block[..piece], WriteFlags.None, cancellationToken).ConfigureAwait(false);
            cancellationToken = CancellationToken.None; // begun, so carried to its end
            offset += piece;
            length -= piece;
        }
    }

    /// <summary>Serves an admitted discard of whole units. The default leaves the range as it is, which is allowed.</summary>
    private protected virtual ValueTask DiscardCoreAsync(long offset, long length, CancellationToken cancellationToken) => ValueTask.CompletedTask;

    /// <summary>Makes everything durable that completed before the call, this node's tables and children that it writes included.</summary>
    private protected abstract ValueTask FlushCoreAsync(CancellationToken cancellationToken);

    /// <summary>What this node alone knows of a run; not empty, in bounds.</summary>
    private protected abstract ValueTask<BlockStatus> GetStatusCoreAsync(long offset, long length, CancellationToken cancellationToken);

    /// <summary>Stores a copy from below where nothing is allocated; only with <see cref="BlockLimits.SupportsPopulate"/>.</summary>
    private protected virtual ValueTask PopulateCoreAsync(long offset, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
        => throw Error(BlockErrorKind.Unsupported, $"'{NodeName}' ({DriverName}) cannot take copies from a backing file.", offset);

    /// <summary>Stores zeroes from below where nothing is allocated; only with <see cref="BlockLimits.SupportsPopulate"/>.</summary>
    private protected virtual ValueTask PopulateZeroesCoreAsync(long offset, long length, CancellationToken cancellationToken)
        => throw Error(BlockErrorKind.Unsupported, $"'{NodeName}' ({DriverName}) cannot take copies from a backing file.", offset);

    /// <summary>Changes the length; the node is drained.</summary>
    private protected virtual ValueTask ResizeCoreAsync(long length, ResizeOptions options, CancellationToken cancellationToken)
        => throw Error(BlockErrorKind.Unsupported, $"'{NodeName}' ({DriverName}) cannot be resized.");

    private async ValueTask ZeroPiecesAsync(ByteRange range, ZeroFlags flags, CancellationToken cancellationToken)
    {
        if (Limits.RequestAlignment <= 1)
        {
            await WriteZeroesCoreAsync(range.Offset, range.Length, flags, cancellationToken).ConfigureAwait(false);
            return;
        }

        ByteRange whole = WholeUnits(range, Limits.RequestAlignment);
        if (whole != range && (flags & ZeroFlags.NoFallback) != 0)
        {
            throw Error(
                BlockErrorKind.Unsupported,
                $"{range} is not whole units of {Limits.RequestAlignment} bytes, so '{NodeName}' ({DriverName}) would have to write zeroes.",
                range.Offset);
        }

        using RangeClaims.Claim claim = await ClaimAsync(range, cancellationToken).ConfigureAwait(false);
        long tail = range.Offset;
        if (!whole.IsEmpty)
        {
            await WriteZeroesCoreAsync(whole.Offset, whole.Length, flags, cancellationToken).ConfigureAwait(false);
            cancellationToken = CancellationToken.None; // begun, so carried to its end
            await ZeroAroundAsync(range.Offset, whole.Offset, cancellationToken).ConfigureAwait(false);
            tail = whole.End;
        }

        await ZeroAroundAsync(tail, range.End, cancellationToken).ConfigureAwait(false);
    }

    private async ValueTask ZeroAroundAsync(long offset, long end, CancellationToken cancellationToken)
    {
        while (offset < end)
        {
            int piece = (int)Math.Min(end - offset, ZeroBytes.Block.Length);
            offset += await WriteUnitAsync(offset, ZeroBytes.Block[..piece], WriteFlags.None, cancellationToken).ConfigureAwait(false);
            cancellationToken = CancellationToken.None;
        }
    }

    /// <exception cref="BlockLayerException">ReadOnly; Conflict: a parent does not share resizing.</exception>
    private protected void ThrowIfNotResizable()
    {
        var door = (DoorFlags)Volatile.Read(ref _door);
        ObjectDisposedException.ThrowIf((door & DoorFlags.Disposed) != 0, this);
        if ((door & DoorFlags.NoResize) != 0)
        {
            throw Refused(ImagePermissions.Resize, "resized");
        }
    }

    [Conditional("DEBUG")]
    private void AssertPopulateShape(long offset, long length)
    {
        int unit = Math.Max(1, Limits.SubclusterSize);
        Debug.Assert(Alignment.IsAligned(offset, unit), "a copy starts on a subcluster");
        Debug.Assert(Alignment.IsAligned(length, unit) || offset + length == Length, "a copy is whole subclusters, or ends with the node");
    }
}
