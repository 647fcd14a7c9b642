using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Images;

/// <summary>
/// Copies the content of one image into another. What the source knows to be zero is not read, and zeroes within data are found and left out. Several pieces are
/// copied at a time, begun in ascending order, each of them whole units of the target so that no cluster is written twice.
/// </summary>
public sealed class ImageConverter
{
    // Measured, convert raw to qcow2 on tmpfs: a piece that stays in a core's cache between read and write; 1 MiB costs a tenth more, 256 KiB saves nothing.
    private const int PieceLength = 512 * 1024;

    private readonly BlockNode _source;
    private readonly BlockNode _target;
    private readonly ConvertOptions _options;
    private readonly IProgress<ByteProgress>? _progress;
    private readonly int _unit;         // zeroes are left out, and pieces cut, in multiples of this
    private readonly int _pieceLength;
    private readonly StatusCursor _status; // used by NextAsync alone
    private long _cursor;               // used by NextAsync alone
    private long _read;                 // interlocked
    private long _written;              // interlocked

    private ImageConverter(BlockNode source, BlockNode target, ConvertOptions options, IProgress<ByteProgress>? progress)
    {
        _source = source;
        _target = target;
        _options = options;
        _progress = progress;
        int cluster = options.Encoding == ConvertEncoding.Compressed ? target.Limits.ClusterSize : target.Limits.SubclusterSize;
        _unit = Math.Max(Math.Max(options.SparseSize, cluster), 512);
        _pieceLength = Math.Max(PieceLength, _unit);
        _status = new StatusCursor(source, options.Depth == ConvertDepth.Chain ? StatusDepth.Chain : StatusDepth.Node);
    }

    /// <summary>Copies the content of <paramref name="source"/> and flushes the target.</summary>
    /// <param name="source">Read; may be shorter than the target.</param>
    /// <param name="target">Written.</param>
    /// <param name="options">How.</param>
    /// <param name="progress">Told how far the copy is.</param>
    /// <param name="cancellationToken">Honoured between pieces. The target is incomplete then, as after any failure.</param>
    /// <exception cref="BlockLayerException">OutOfRange (the target is shorter), Unsupported (it cannot compress, or store bitmaps), Denied (an image was opened without its passphrase or its data file; nothing was written), ReadOnly, NoSpace, Io, Corrupt.</exception>
    public static async ValueTask<ConvertResult> CopyAsync(
        BlockNode source,
        BlockNode target,
        ConvertOptions? options = null,
        IProgress<ByteProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        options ??= new ConvertOptions();
        ThrowIfNotWithinReach(source, options);
        target.SkipFilters().ThrowIfNotWithinReach();
        if (options.Encoding == ConvertEncoding.Compressed && !target.Limits.SupportsCompressedWrites)
        {
            throw CannotCompress(target.SkipFilters().DriverName, target.Path);
        }

        if (target.Length < source.Length)
        {
            throw new BlockLayerException(
                BlockErrorKind.OutOfRange,
                $"It holds {target.Length} bytes, and the source has {source.Length}.")
            {
                Path = target.Path,
            };
        }

        BitmapCopy bitmaps = await BitmapCopy.PrepareAsync(source, options.Bitmaps, cancellationToken).ConfigureAwait(false);
        bitmaps.ThrowIfCannotGoTo(source, target);
        var converter = new ImageConverter(source, target, options, progress);
        await ParallelWalk.RunAsync<Piece>(source.Environment, options.Workers, converter.NextAsync, converter.CopyAsync, cancellationToken).ConfigureAwait(false);
        await target.FlushAsync(cancellationToken).ConfigureAwait(false);
        await bitmaps.CarryOutAsync(source, target, cancellationToken).ConfigureAwait(false);
        progress?.Report(new ByteProgress(source.Length, source.Length));
        return new ConvertResult(converter._read, converter._written) { SkippedBitmaps = bitmaps.Skipped };
    }

    /// <summary>Asks the part of a source that is copied whether all was given that it takes to read it.</summary>
    internal static void ThrowIfNotWithinReach(BlockNode source, ConvertOptions? options)
        => BackingChain.ThrowIfNotWithinReach(source, options is { Depth: ConvertDepth.TopImage } ? source : null);

    internal static BlockLayerException CannotCompress(string format, string? path)
        => new(BlockErrorKind.Unsupported, $"This {format} image cannot store compressed data; qcow2 can, unless it is encrypted or has a data file.") { Path = path };

    private async ValueTask CopyAsync(Piece piece, CancellationToken cancellationToken)
    {
        if (piece.IsZero)
        {
            await _target.WriteZeroesAsync(piece.Start, piece.Length, ZeroFlags.MayUnmap, cancellationToken).ConfigureAwait(false);
            return;
        }

        using PooledBuffer buffer = _source.Environment.Buffers.Rent((int)piece.Length);
        await _source.ReadAsync(piece.Start, buffer.Memory, cancellationToken: cancellationToken).ConfigureAwait(false);
        Interlocked.Add(ref _read, piece.Length);
        await StoreAsync(piece.Start, buffer.Memory, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>The next piece that needs work; null at the end. What the target shows already is passed over.</summary>
    private async ValueTask<Piece?> NextAsync(CancellationToken cancellationToken)
    {
        while (_cursor < _source.Length)
        {
            cancellationToken.ThrowIfCancellationRequested();
            _progress?.Report(new ByteProgress(_cursor, _source.Length));
            long start = _cursor;
            long left = _source.Length - start;
            (Need need, long length) = await LookAsync(start, cancellationToken).ConfigureAwait(false);

            // A unit that is only partly of one kind is copied whole: the target could not store half of it anyway.
            length = length >= left ? left : Alignment.RoundDown(length, _unit);
            if (length == 0)
            {
                (need, length) = (Need.Data, Math.Min(_unit, left));
            }

            if (need == Need.Data)
            {
                length = Math.Min(length, _pieceLength);
            }

            _cursor = start + length;
            if (need != Need.Nothing)
            {
                return new Piece(start, length, need == Need.Zeroes);
            }
        }

        return null;
    }

    private async ValueTask<(Need Need, long Length)> LookAsync(long offset, CancellationToken cancellationToken)
    {
        BlockStatus status = await _status.AtAsync(offset, cancellationToken).ConfigureAwait(false);
        Need need;
        if (_options.SparseSize == 0)
        {
            need = Need.Data;
        }
        else if (_options.Depth == ConvertDepth.TopImage && !status.IsAllocated)
        {
            need = Need.Nothing;
        }
        else if (status.IsZero)
        {
            need = _options.Target == TargetContent.Zeroes ? Need.Nothing : Need.Zeroes;
        }
        else
        {
            need = Need.Data;
        }

        return (need, status.Length);
    }

    private async ValueTask StoreAsync(long offset, ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        while (!bytes.IsEmpty)
        {
            bool isZero = false;
            int length = _options.SparseSize == 0 ? bytes.Length : ZeroScan.NextRun(bytes.Span, _unit, out isZero);
            if (!isZero)
            {
                await StoreDataAsync(offset, bytes[..length], cancellationToken).ConfigureAwait(false);
            }
            else if (_options.Target != TargetContent.Zeroes)
            {
                await _target.WriteZeroesAsync(offset, length, ZeroFlags.MayUnmap, cancellationToken).ConfigureAwait(false);
            }

            offset += length;
            bytes = bytes[length..];
        }
    }

    private async ValueTask StoreDataAsync(long offset, ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        Interlocked.Add(ref _written, bytes.Length);
        if (_options.Encoding == ConvertEncoding.Plain)
        {
            await _target.WriteAsync(offset, bytes, cancellationToken: cancellationToken).ConfigureAwait(false);
            return;
        }

        int cluster = _target.Limits.ClusterSize;
        while (!bytes.IsEmpty)
        {
            int length = Math.Min(cluster, bytes.Length);
            await _target.WriteAsync(offset, bytes[..length], WriteFlags.Compressed, cancellationToken).ConfigureAwait(false);
            offset += length;
            bytes = bytes[length..];
        }
    }

    private enum Need
    {
        Nothing,
        Zeroes,
        Data,
    }

    private readonly record struct Piece(long Start, long Length, bool IsZero);
}
