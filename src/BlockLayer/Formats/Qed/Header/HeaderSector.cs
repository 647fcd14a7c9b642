using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qed;

/// <summary>
/// Owns the first 512 bytes of the image, where the header fields are. A change is one write of that sector, which a crash leaves old or new, and is durable
/// when the call returns. Bytes after the fields are kept.
/// </summary>
/// <remarks>
/// Every change clears the autoclear bits, all of which are unknown here: whoever set them must see that the image was written by a stranger.
/// </remarks>
internal sealed class HeaderSector
{
    private readonly BlockEdge _file;
    private readonly AsyncLock _turn = new();
    private byte[] _bytes;       // guarded by _turn; what the disk holds, or is to hold again
    private bool _isUncertain;   // guarded by _turn: a write of the sector failed
    private QedHeader _current;  // written under _turn; read freely

    private HeaderSector(BlockEdge file, byte[] bytes, QedHeader current)
    {
        _file = file;
        _bytes = bytes;
        _current = current;
    }

    /// <summary>The fields as they are on disk, or as the last change left them.</summary>
    internal QedHeader Current => Volatile.Read(ref _current);

    /// <summary>True while the first change of the image has to clear autoclear bits before it goes on.</summary>
    internal bool HasStaleAutoclear => Current.AutoclearFeatures != 0;

    /// <summary>True from a write that failed until <see cref="SettleAsync"/> or the next change has put the old sector back. Asked while nobody changes anything.</summary>
    internal bool IsUncertain => _isUncertain;

    /// <summary>Reads and judges the header.</summary>
    /// <exception cref="ImageFormatException">See <see cref="QedHeader.Parse"/> and <see cref="QedHeader.Validate"/>.</exception>
    internal static async ValueTask<HeaderSector> LoadAsync(BlockEdge file, CancellationToken cancellationToken)
    {
        byte[] bytes = new byte[QedLimits.SectorSize];
        long fileLength = file.Child.Length;
        await file.ReadPaddedAsync(0, bytes, cancellationToken).ConfigureAwait(false);
        QedHeader header = QedHeader.Parse(bytes.AsSpan(0, (int)Math.Min(bytes.Length, fileLength)));
        header.Validate(fileLength);
        return new HeaderSector(file, bytes, header);
    }

    /// <summary>Clears unknown autoclear bits, durably, unless that was done already.</summary>
    internal ValueTask ClearAutoclearAsync() => HasStaleAutoclear ? UpdateAsync(static header => header) : ValueTask.CompletedTask;

    /// <summary>
    /// Writes what <paramref name="change"/> makes of the fields, and flushes. On failure the fields here stay as they were; those on disk are old or new
    /// until <see cref="SettleAsync"/> or the next change puts the old ones back.
    /// </summary>
    internal async ValueTask UpdateAsync(Func<QedHeader, QedHeader> change)
    {
        using AsyncLock.Releaser turn = await _turn.EnterAsync().ConfigureAwait(false);
        await SettleLockedAsync().ConfigureAwait(false);
        QedHeader next = change(_current) with { AutoclearFeatures = 0 };
        if (next == _current)
        {
            return;
        }

        byte[] bytes = [.. _bytes];
        next.WriteTo(bytes);
        _isUncertain = true;
        await StoreAsync(bytes).ConfigureAwait(false);
        (_bytes, _isUncertain) = (bytes, false);
        Volatile.Write(ref _current, next);
    }

    /// <summary>Makes the disk hold the fields as they are here, durably, after a change that failed. Else does nothing.</summary>
    internal async ValueTask SettleAsync()
    {
        using AsyncLock.Releaser turn = await _turn.EnterAsync().ConfigureAwait(false);
        await SettleLockedAsync().ConfigureAwait(false);
    }

    // Under the turn.
    private async ValueTask SettleLockedAsync()
    {
        if (_isUncertain)
        {
            await StoreAsync(_bytes).ConfigureAwait(false);
            _isUncertain = false;
        }
    }

    private async ValueTask StoreAsync(byte[] bytes)
    {
        await _file.WriteAsync(0, bytes, CancellationToken.None).ConfigureAwait(false);
        await _file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
    }
}
