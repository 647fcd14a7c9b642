using BlockLayer.Errors;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

/// <summary>Reads a snapshot table entry by entry: how long it is, is known only when it has been read.</summary>
/// <remarks>
/// It reads on where QEMU's repair does: too much extra data is skipped, and the name looked for behind it. It stops at what can be no entry, at the end of the file,
/// and at the limits. Time and memory are bounded by the file's length and by <see cref="Qcow2Limits.MaxSnapshotTableLength"/>.
/// </remarks>
internal sealed class SnapshotTableReader
{
    private const int WindowLength = 64 << 10;

    private readonly IMetadataReader _file;
    private readonly Qcow2Header _header;
    private readonly ClusterGeometry _g;
    private readonly List<SnapshotTableRow> _rows = [];
    private HostOffset _windowStart;
    private byte[] _window = [];
    private ImageFormatException? _limit;
    private long _keptLength; // of the entries without the extra data that is too much, each padded

    private SnapshotTableReader(IMetadataReader file, Qcow2Header header)
    {
        _file = file;
        _header = header;
        _g = header.CreateGeometry();
    }

    /// <summary>Reads the table of a validated header. What is wrong with it is an answer, not an exception.</summary>
    /// <exception cref="BlockLayerException">Io.</exception>
    public static ValueTask<SnapshotTableReading> ReadAsync(IMetadataReader file, Qcow2Header header, CancellationToken cancellationToken)
        => header.SnapshotCount == 0 ? new(SnapshotTableReading.Empty) : new SnapshotTableReader(file, header).ReadAsync(cancellationToken);

    private async ValueTask<SnapshotTableReading> ReadAsync(CancellationToken cancellationToken)
    {
        if (_header.FindSnapshotPlaceFault(_g) is { } nowhere)
        {
            return SnapshotTableReading.Empty with { Limit = nowhere };
        }

        _limit = _header.FindSnapshotCountFault();
        long count = Math.Min(_header.SnapshotCount, Qcow2Limits.MaxSnapshots);
        HostOffset at = _header.SnapshotsOffset;
        while (_rows.Count < count && at.Value < _file.Length && await TryReadEntryAsync(at, cancellationToken).ConfigureAwait(false) is { } row)
        {
            _rows.Add(row);
            at = new HostOffset(row.Range.Offset + row.Range.Length);
        }

        long missing = at.Value < _file.Length ? 0 : count - _rows.Count;
        long length = at.Value - _header.SnapshotsOffset.Value + (missing * SnapshotEntry.FixedLength);
        return new SnapshotTableReading
        {
            Entries = _rows,
            Length = length,
            Missing = missing,
            Limit = _limit,
            Contradiction = FindEnd(missing, at) ?? _header.FindSnapshotOverlap(new ByteRange(_header.SnapshotsOffset.Value, length), _g),
        };
    }

    /// <summary>The entry at this place, which is in the file; null when what is there can be none, or the table would be too large with it.</summary>
    private async ValueTask<SnapshotTableRow?> TryReadEntryAsync(HostOffset at, CancellationToken cancellationToken)
    {
        SnapshotEntry start = new((await ReadAsync(at, SnapshotEntry.FixedLength, cancellationToken).ConfigureAwait(false)).ToArray());
        bool isCut = start.ExtraLength > Qcow2Limits.MaxSnapshotExtraLength;
        if (isCut)
        {
            _limit ??= ImageFormatException.OutOfRange(
                "extra data size of a snapshot", at.Value + SnapshotEntry.ExtraSizeAt, start.ExtraLength, 0, Qcow2Limits.MaxSnapshotExtraLength);
            if (!start.IsL1Locatable(_g))
            {
                return null; // two fields that no entry has: something else lies here, and how long it is says nothing
            }
        }

        long extraLength = start.ExtraLength;
        long keptExtra = Math.Min(extraLength, Qcow2Limits.MaxSnapshotExtraLength);
        long keptLength = _keptLength + SnapshotEntry.FixedLength + keptExtra + start.TextLength;
        long length = SnapshotEntry.FixedLength + extraLength + start.TextLength;
        if (keptLength > Qcow2Limits.MaxSnapshotTableLength || at.Value - _header.SnapshotsOffset.Value + length > int.MaxValue)
        {
            _limit ??= ImageFormatException.OutOfRange("length of the snapshot table", _header.SnapshotsOffset.Value, keptLength, 0, Qcow2Limits.MaxSnapshotTableLength);
            return null;
        }

        _keptLength = Alignment.RoundUp(keptLength, 8);
        bool endsInFile = length <= _file.Length - at.Value;
        ByteRange range = new(at.Value, endsInFile ? Math.Min(Alignment.RoundUp(length, 8), _file.Length - at.Value) : length); // padding behind the file's end is nobody's
        if (!isCut)
        {
            return new SnapshotTableRow(range, new SnapshotEntry((await ReadAsync(at, (int)range.Length, cancellationToken).ConfigureAwait(false)).ToArray()), endsInFile);
        }

        byte[] extra = (await ReadAsync(at.Plus(SnapshotEntry.FixedLength), (int)keptExtra, cancellationToken).ConfigureAwait(false)).ToArray();
        ReadOnlyMemory<byte> text = await ReadAsync(at.Plus(SnapshotEntry.FixedLength + extraLength), start.TextLength, cancellationToken).ConfigureAwait(false);
        return new SnapshotTableRow(range, start.Of(extra, text.Span), IsIntact: false);
    }

    private ImageFormatException? FindEnd(long missing, HostOffset end)
        => missing == 0 && end.Value <= _file.Length
            ? null
            : ImageFormatException.Corrupt(
                "snapshot table",
                _header.SnapshotsOffset.Value,
                $"snapshot table of {_header.SnapshotCount} entries at byte {_header.SnapshotsOffset.Value} does not end inside the file of {_file.Length} bytes.");

    /// <summary>Bytes of the file, zeroes behind its end. They are valid until the next call.</summary>
    private async ValueTask<ReadOnlyMemory<byte>> ReadAsync(HostOffset at, int length, CancellationToken cancellationToken)
    {
        long skipped = at.Value - _windowStart.Value;
        if (skipped < 0 || length > _window.Length - skipped)
        {
            long wanted = Math.Max(length, Math.Min(WindowLength, _file.Length - at.Value));
            _window = _window.Length == wanted ? _window : new byte[wanted];
            await _file.ReadPaddedAsync(at.Value, _window, cancellationToken).ConfigureAwait(false);
            (_windowStart, skipped) = (at, 0);
        }

        return _window.AsMemory((int)skipped, length);
    }
}
