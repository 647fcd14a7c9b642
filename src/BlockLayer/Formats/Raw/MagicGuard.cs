using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Raw;

/// <summary>
/// Keeps the guest of a raw disk, whose format was guessed, from turning it into another format: the next guess would read what the guest wrote as a header, and
/// open the files it names. Changes of the first bytes go one at a time, because two of them can make a magic that neither has.
/// </summary>
internal sealed class MagicGuard(BlockEdge file, FormatRegistry ruledOut)
{
    /// <summary>Bytes at the start of the disk that are guarded.</summary>
    internal const int Length = ImageFormat.ProbeLength;

    private readonly AsyncLock _turn = new(); // held across the write it lets through

    /// <summary>Writes, unless that would make a magic.</summary>
    /// <exception cref="BlockLayerException">Denied: the disk would start with a magic. Nothing was written.</exception>
    internal async ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, WriteFlags flags, CancellationToken cancellationToken)
    {
        using AsyncLock.Releaser turn = await _turn.EnterAsync(cancellationToken).ConfigureAwait(false);
        byte[] head = await ReadAsync(cancellationToken).ConfigureAwait(false);
        data.Span[..Math.Min(data.Length, Length - (int)offset)].CopyTo(head.AsSpan((int)offset));
        ThrowIfMagic(head);
        await file.WriteAsync(offset, data, cancellationToken, flags).ConfigureAwait(false);
    }

    /// <summary>Writes zeroes, unless that would make a magic.</summary>
    /// <exception cref="BlockLayerException">Denied: as for a write.</exception>
    internal async ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        using AsyncLock.Releaser turn = await _turn.EnterAsync(cancellationToken).ConfigureAwait(false);
        await ThrowIfZeroesMakeMagicAsync(offset, length, cancellationToken).ConfigureAwait(false);
        await file.WriteZeroesAsync(offset, length, flags, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Discards, unless zeroes there would make a magic.</summary>
    /// <exception cref="BlockLayerException">Denied: as for a write, since what is discarded may read as zeroes.</exception>
    internal async ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken)
    {
        using AsyncLock.Releaser turn = await _turn.EnterAsync(cancellationToken).ConfigureAwait(false);
        await ThrowIfZeroesMakeMagicAsync(offset, length, cancellationToken).ConfigureAwait(false);
        await file.DiscardAsync(offset, length, cancellationToken).ConfigureAwait(false);
    }

    // A zero byte can be the last of a magic: QED's ends in one.
    private async ValueTask ThrowIfZeroesMakeMagicAsync(long offset, long length, CancellationToken cancellationToken)
    {
        byte[] head = await ReadAsync(cancellationToken).ConfigureAwait(false);
        head.AsSpan((int)offset, (int)Math.Min(length, Length - offset)).Clear();
        ThrowIfMagic(head);
    }

    private async ValueTask<byte[]> ReadAsync(CancellationToken cancellationToken)
    {
        byte[] head = new byte[Length];
        await file.ReadPaddedAsync(0, head, cancellationToken).ConfigureAwait(false);
        return head;
    }

    private void ThrowIfMagic(byte[] head)
    {
        if (ruledOut.Probe(head) is { } format)
        {
            throw new BlockLayerException(
                BlockErrorKind.Denied,
                $"This write would make the raw disk start as a {format.Name} image does, and its format was guessed: the next guess would open it as {format.Name}. "
                + "Give the format (raw) when opening it to allow such writes.");
        }
    }
}
