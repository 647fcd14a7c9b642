using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Jobs;

/// <summary>
/// Finds what an image has to hold itself before its backing chain can be another one: where nothing is allocated in it and the two chains read differently.
/// </summary>
/// <remarks>
/// <para>Only what may differ is read: a run that both chains know to be zero is passed over, and one that is decided in both by the same file. Past its end a
/// chain reads zeroes.</para>
/// <para>What is found is in whole units, in which the image stores copies from below. The image may be written meanwhile, by guests and by the copies themselves; the two chains
/// may not.</para>
/// </remarks>
internal sealed class BackingDifference
{
    private const int PieceLength = 256 * 1024; // assumed: both sides stay in a core's cache until they are compared

    private readonly Origin _origin;
    private readonly BlockNode _image;
    private readonly BlockNode? _old;
    private readonly BlockNode? _next;
    private readonly ChainCursor _ownRuns;
    private readonly ChainCursor _oldRuns;
    private readonly ChainCursor _nextRuns;
    private readonly int _unit;

    /// <param name="origin">From where the requests come: through the doors, or on behalf of somebody inside.</param>
    /// <param name="image">The image whose backing chain is to change.</param>
    /// <param name="old">What it reads from now where it has nothing; null for nothing.</param>
    /// <param name="next">What it is to read from; null for nothing.</param>
    internal BackingDifference(Origin origin, BlockNode image, BlockNode? old, BlockNode? next)
    {
        _origin = origin;
        _image = image;
        _old = old;
        _next = next;
        _ownRuns = new ChainCursor(origin, image, StatusDepth.Node);
        _oldRuns = new ChainCursor(origin, old, StatusDepth.Chain);
        _nextRuns = new ChainCursor(origin, next, StatusDepth.Chain);
        _unit = Math.Max(image.Limits.SubclusterSize, 512);
        BufferLength = Math.Max(PieceLength, _unit);
    }

    /// <summary>Bytes that each of the two buffers of <see cref="ReadAsync"/> has to hold.</summary>
    internal int BufferLength { get; }

    /// <summary>Up to here everything was passed over or handed out.</summary>
    internal long Position { get; private set; }

    /// <summary>Hands out once more what begins at <paramref name="position"/>, a start of a piece. What was stored there since is passed over.</summary>
    internal void ReturnTo(long position)
    {
        Position = position;
        _ownRuns.Forget();
    }

    /// <summary>The next piece that may differ; null at the end. One call at a time.</summary>
    /// <exception cref="Errors.BlockLayerException">Io, Corrupt.</exception>
    internal async ValueTask<Piece?> NextAsync(CancellationToken cancellationToken)
    {
        while (Position < _image.Length)
        {
            cancellationToken.ThrowIfCancellationRequested();
            long start = Position;
            long left = _image.Length - start;
            BlockStatus own = await _ownRuns.AtAsync(start, cancellationToken).ConfigureAwait(false);
            if (own.IsAllocated)
            {
                Position = start + own.Length;
                continue;
            }

            BlockStatus old = await _oldRuns.AtAsync(start, cancellationToken).ConfigureAwait(false);
            BlockStatus next = await _nextRuns.AtAsync(start, cancellationToken).ConfigureAwait(false);
            long length = Math.Min(own.Length, Math.Min(old.Length, next.Length));
            length = length >= left ? left : Alignment.RoundDown(length, _unit);
            if (length == 0)
            {
                // Of several kinds: compared whole, because the image stores nothing smaller.
                Position = start + Math.Min(_unit, left);
                return new Piece(start, (int)(Position - start), OldIsZero: false, NextIsZero: false);
            }

            if ((old.IsZero && next.IsZero) || IsSameImage(old.Provider, next.Provider))
            {
                Position = start + length;
                continue;
            }

            length = Math.Min(length, BufferLength);
            Position = start + length;
            return new Piece(start, (int)length, old.IsZero, next.IsZero);
        }

        return null;
    }

    /// <summary>Reads both sides of a piece.</summary>
    /// <param name="piece">What <see cref="NextAsync"/> gave.</param>
    /// <param name="old">Gets what the image shows now; of the piece's length.</param>
    /// <param name="next">Gets what it would show; of the piece's length.</param>
    /// <param name="cancellationToken">Honoured before a read is submitted.</param>
    /// <exception cref="Errors.BlockLayerException">Io, Corrupt.</exception>
    internal async ValueTask ReadAsync(Piece piece, Memory<byte> old, Memory<byte> next, CancellationToken cancellationToken)
    {
        await ReadSideAsync(piece.OldIsZero ? null : _old, piece.Start, old, cancellationToken).ConfigureAwait(false);
        await ReadSideAsync(piece.NextIsZero ? null : _next, piece.Start, next, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>
    /// Stores what differs between the sides of a piece, whole runs of units that need the same. Only where the image has nothing: what a guest has written meanwhile stays.
    /// </summary>
    /// <param name="piece">What <see cref="NextAsync"/> gave.</param>
    /// <param name="old">What the image shows now, from <see cref="ReadAsync"/>.</param>
    /// <param name="next">What it would show.</param>
    /// <param name="target">The image, or a filter on it; null: nothing is stored, only counted.</param>
    /// <param name="cancellationToken">Honoured between runs.</param>
    /// <returns>Bytes of data and of zeroes that the image needs.</returns>
    /// <exception cref="Errors.BlockLayerException">NoSpace, Io, Corrupt. What was stored stays.</exception>
    internal async ValueTask<(long Data, long Zeroes)> StoreAsync(
        Piece piece, ReadOnlyMemory<byte> old, ReadOnlyMemory<byte> next, BlockNode? target, CancellationToken cancellationToken)
    {
        (long data, long zeroes) = (0, 0);
        for (int at = 0; at < piece.Length;)
        {
            int length = NextRun(old.Span[at..], next.Span[at..], out Need need);
            long offset = piece.Start + at;
            switch (need)
            {
                case Need.Data:
                    data += length;
                    await (target?.PopulateAsync(offset, old.Slice(at, length), cancellationToken) ?? ValueTask.CompletedTask).ConfigureAwait(false);
                    break;
                case Need.Zeroes:
                    zeroes += length;
                    await (target?.PopulateZeroesAsync(offset, length, cancellationToken) ?? ValueTask.CompletedTask).ConfigureAwait(false);
                    break;
            }

            at += length;
        }

        return (data, zeroes);
    }

    // Length of the run of units that both buffers start with and that need the same.
    private int NextRun(ReadOnlySpan<byte> old, ReadOnlySpan<byte> next, out Need need)
    {
        need = NeedOf(old, next, at: 0);
        int length = _unit;
        while (length < old.Length && NeedOf(old, next, length) == need)
        {
            length += _unit;
        }

        return Math.Min(length, old.Length);
    }

    private Need NeedOf(ReadOnlySpan<byte> old, ReadOnlySpan<byte> next, int at)
    {
        int length = Math.Min(_unit, old.Length - at);
        ReadOnlySpan<byte> shown = old.Slice(at, length);
        return shown.SequenceEqual(next.Slice(at, length)) ? Need.Nothing
            : ZeroBytes.IsAllZero(shown) ? Need.Zeroes
            : Need.Data;
    }

    private ValueTask ReadSideAsync(BlockNode? chain, long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        if (chain is not null)
        {
            return chain.ReadPaddedAsync(_origin, offset, buffer, ReadFlags.None, cancellationToken);
        }

        buffer.Span.Clear();
        return ValueTask.CompletedTask;
    }

    // The chains may share their lower part and have opened it twice. What a file decides it decides at the same guest offset for both, if both read it as the same format.
    private static bool IsSameImage(BlockNode? old, BlockNode? next)
        => old is not null && next is not null
            && (old == next || (old.DriverName == next.DriverName && BackingName.FileOf(old) is { } left && BackingName.FileOf(next) is { } right
                && left.Storage.Identity == right.Storage.Identity));

    /// <summary>A run that may differ.</summary>
    /// <param name="Start">Guest offset in bytes, where a unit starts.</param>
    /// <param name="Length">Bytes: whole units, except at the end of the disk.</param>
    /// <param name="OldIsZero">The old chain is known to be zero there.</param>
    /// <param name="NextIsZero">The next chain is known to be zero there.</param>
    internal readonly record struct Piece(long Start, int Length, bool OldIsZero, bool NextIsZero)
    {
        internal ByteRange Range => new(Start, Length);
    }

    /// <summary>What an image has to store so that it reads as before.</summary>
    private enum Need
    {
        Nothing,
        Zeroes,
        Data,
    }

    /// <summary>Asks in ascending order and remembers the run it stands in. A chain that is missing, and one past its end, is zero.</summary>
    private sealed class ChainCursor(Origin origin, BlockNode? node, StatusDepth depth)
    {
        private BlockStatus _run;
        private long _start;

        internal void Forget() => _run = default;

        internal async ValueTask<BlockStatus> AtAsync(long offset, CancellationToken cancellationToken)
        {
            if (node is null || offset >= node.Length)
            {
                return new BlockStatus(StatusFlags.Zero, long.MaxValue - offset);
            }

            if (offset < _start || offset - _start >= _run.Length)
            {
                _run = await node.GetStatusAsync(origin, offset, node.Length - offset, depth, cancellationToken).ConfigureAwait(false);
                _start = offset;
            }

            return _run with { Length = _start + _run.Length - offset };
        }
    }
}
