using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.CowOverlay;

/// <summary>
/// Owns the bytes before the bitmap: fields, names, our record. A change is durable when its call returns, and a crash leaves the old state or the new one,
/// because what switches between them is one sector.
/// </summary>
/// <remarks>
/// <code>
///   0 fields 76                              HEADER_SIZE - 512       HEADER_SIZE
///   |--------|--- names, each in one piece, rest zero ---|-- record --|-- bitmap ...
/// </code>
/// Changes run one at a time under the turn. After a failed one, the fields and the record here are what was last known to be on disk. On disk may be the new ones
/// until <see cref="SettleAsync"/> or the next change puts back what is here.
/// </remarks>
internal sealed class HeaderArea
{
    private readonly BlockEdge _file;
    private readonly AsyncLock _turn = new();
    private readonly byte[] _bytes;      // guarded by _turn; what the disk holds, or is to hold again
    private ByteRange _unsettled;        // written under _turn; sectors that may be other ones on disk
    private CowOverlayHeader _header;    // written under _turn; read freely
    private OverlayRecord? _record;      // written under _turn; read freely
    private string? _backingName;        // written under _turn; read freely

    private HeaderArea(BlockEdge file, byte[] bytes, CowOverlayHeader header)
    {
        _file = file;
        _bytes = bytes;
        _header = header;
        ImageName = FileName.Decode("image_filename", header.ImageNameOffset, NameBytes(header.ImageNameRange));
        _backingName = header.HasBacking ? FileName.Decode("backing_filename", header.BackingNameOffset, NameBytes(header.BackingNameRange)) : null;
        _record = (header.CompatibleFeatures & CompatibleFeatures.HasRecord) != 0 && HasRoomForRecord ? OverlayRecord.Parse(RecordBytes) : null;
    }

    /// <summary>The fields.</summary>
    internal CowOverlayHeader Header => Volatile.Read(ref _header);

    /// <summary>Our record; null where there is none.</summary>
    internal OverlayRecord? Record => Volatile.Read(ref _record);

    /// <summary>The image file, as it is named here.</summary>
    internal string ImageName { get; }

    /// <summary>The backing file, as it is named here; null for none.</summary>
    internal string? BackingName => Volatile.Read(ref _backingName);

    /// <summary>True while the disk may hold other bytes than are here: a change failed, or an old name is still to be cleared. Asked while nobody changes anything.</summary>
    internal bool IsUncertain => !_unsettled.IsEmpty;

    /// <summary>The base that the record knows under the present name; null where it knows none.</summary>
    internal BaseIdentity? KnownBase => Record is { } record && record.NamesHash == NamesHash ? record.Base : null;

    /// <summary>False where another program has put a name into the last sector: then there is no record.</summary>
    internal bool HasRoomForRecord => !RecordRange.Overlaps(Header.ImageNameRange) && !RecordRange.Overlaps(Header.BackingNameRange);

    /// <summary>What <see cref="OverlayRecord.NamesHash"/> is for the present names.</summary>
    internal Hash256 NamesHash => OverlayRecord.HashNames(BackingName, Header.BackingFormat);

    private ByteRange RecordRange => new(_bytes.Length - CowOverlayLimits.SectorSize, CowOverlayLimits.SectorSize);

    private Span<byte> RecordBytes => _bytes.AsSpan((int)RecordRange.Offset, CowOverlayLimits.SectorSize);

    /// <summary>Reads and judges the header area.</summary>
    /// <exception cref="ImageFormatException">InvalidFormat, Corrupt, Unsupported.</exception>
    internal static async ValueTask<HeaderArea> LoadAsync(BlockEdge file, CancellationToken cancellationToken)
    {
        long fileLength = file.Child.Length;
        byte[] head = new byte[Math.Min(CowOverlayHeader.Size, fileLength)];
        await file.ReadAsync(0, head, cancellationToken).ConfigureAwait(false);
        CowOverlayHeader header = CowOverlayHeader.Parse(head, fileLength);
        byte[] bytes = new byte[header.HeaderSize];
        await file.ReadAsync(0, bytes, cancellationToken).ConfigureAwait(false);
        return new HeaderArea(file, bytes, header);
    }

    /// <summary>Writes the record; where the header does not announce one yet, it does so after the record is durable.</summary>
    internal async ValueTask WriteRecordAsync(OverlayRecord record)
    {
        using AsyncLock.Releaser turn = await _turn.EnterAsync().ConfigureAwait(false);
        byte[] sector = new byte[CowOverlayLimits.SectorSize];
        record.WriteTo(sector);
        await WriteAsync((int)RecordRange.Offset, sector).ConfigureAwait(false);
        Volatile.Write(ref _record, record);
        if ((Header.CompatibleFeatures & CompatibleFeatures.HasRecord) == 0)
        {
            await SwitchAsync(Header with { CompatibleFeatures = Header.CompatibleFeatures | CompatibleFeatures.HasRecord }).ConfigureAwait(false);
        }
    }

    /// <summary>Says that the image file is the whole disk. It is, durably: the caller has seen to it.</summary>
    internal async ValueTask SetAllAllocatedAsync()
    {
        using AsyncLock.Releaser turn = await _turn.EnterAsync().ConfigureAwait(false);
        await SwitchAsync(Header with { CompatibleFeatures = Header.CompatibleFeatures | CompatibleFeatures.AllAllocated }).ConfigureAwait(false);
    }

    /// <summary>Makes sure that <see cref="RecordBackingAsync"/> will find room.</summary>
    /// <exception cref="BlockLayerException">Unsupported or NoSpace.</exception>
    internal void ThrowIfCannotRecord(BackingReference? reference)
    {
        if (reference is not null)
        {
            Place(reference);
        }
    }

    /// <summary>
    /// Names another backing file, or none: the new name goes where neither fields, names nor record are and is made durable, then the sector of the fields
    /// switches to it. Nothing fails behind that: the room of the old name is cleared by the next flush.
    /// </summary>
    /// <param name="reference">The backing file; null for none.</param>
    /// <param name="also">Compatible features to set by the same switch.</param>
    internal async ValueTask RecordBackingAsync(BackingReference? reference, CompatibleFeatures also)
    {
        using AsyncLock.Releaser turn = await _turn.EnterAsync().ConfigureAwait(false);
        CowOverlayHeader old = Header;
        CowOverlayHeader next = old with
        {
            BackingNameOffset = 0,
            BackingNameSize = 0,
            BackingFormat = "",
            CompatibleFeatures = old.CompatibleFeatures | also,
        };
        if (reference is not null)
        {
            (byte[] name, string format, int offset) = Place(reference);
            await WriteAsync(offset, name).ConfigureAwait(false);
            next = next with { BackingNameOffset = (uint)offset, BackingNameSize = (uint)name.Length, BackingFormat = format };
        }

        await SwitchAsync(next).ConfigureAwait(false);
        Volatile.Write(ref _backingName, reference?.Name);
        if (old.HasBacking)
        {
            NameBytes(old.BackingNameRange).Clear();
            _unsettled = old.BackingNameRange.RoundOut(CowOverlayLimits.SectorSize);
        }
    }

    /// <summary>Makes the disk hold what is here, durably, after a change that failed and after one that left an old name to be cleared. Else does nothing.</summary>
    internal async ValueTask SettleAsync()
    {
        using AsyncLock.Releaser turn = await _turn.EnterAsync().ConfigureAwait(false);
        await SettleLockedAsync().ConfigureAwait(false);
    }

    // Under the turn.
    private async ValueTask SettleLockedAsync()
    {
        if (!_unsettled.IsEmpty)
        {
            await _file.WriteAsync(_unsettled.Offset, BytesOf(_unsettled), CancellationToken.None).ConfigureAwait(false);
            await _file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
            _unsettled = default;
        }
    }

    // Under the turn. The fields on disk and here change together, or those here do not.
    private async ValueTask SwitchAsync(CowOverlayHeader next)
    {
        byte[] sector = _bytes[..CowOverlayLimits.SectorSize];
        next.WriteTo(sector);
        await WriteAsync(0, sector).ConfigureAwait(false);
        Volatile.Write(ref _header, next);
    }

    // Under the turn. Writes whole sectors, durably; the bytes here follow when that is done.
    private async ValueTask WriteAsync(int offset, byte[] changed)
    {
        await SettleLockedAsync().ConfigureAwait(false);
        ByteRange sectors = new ByteRange(offset, changed.Length).RoundOut(CowOverlayLimits.SectorSize);
        byte[] bytes = BytesOf(sectors).ToArray();
        changed.CopyTo(bytes, offset - (int)sectors.Offset);
        _unsettled = sectors;
        await _file.WriteAsync(sectors.Offset, bytes, CancellationToken.None).ConfigureAwait(false);
        await _file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        bytes.CopyTo(_bytes, (int)sectors.Offset);
        _unsettled = default;
    }

    private Memory<byte> BytesOf(ByteRange range) => _bytes.AsMemory((int)range.Offset, (int)range.Length);

    private (byte[] Name, string Format, int Offset) Place(BackingReference reference)
    {
        byte[] name = FileName.Encode("backing file", reference.Name);
        string format = FileName.EncodeFormat(reference.Format);
        ByteRange[] taken = [new(0, CowOverlayHeader.Size), Header.ImageNameRange, Header.BackingNameRange, RecordRange];
        foreach (ByteRange after in taken.OrderBy(range => range.Offset))
        {
            // The format wants the name to begin two bytes before the end of the area at the latest; the record, or what lies there instead, sees to that.
            var room = new ByteRange(after.End, name.Length);
            if (room.Offset >= CowOverlayHeader.Size && room.End <= RecordRange.Offset && !Array.Exists(taken, range => range.Overlaps(room)))
            {
                return (name, format, (int)room.Offset);
            }
        }

        throw new BlockLayerException(
            BlockErrorKind.NoSpace,
            $"The header area has no room for a backing file name of {name.Length} bytes beside the present names.");
    }

    private Span<byte> NameBytes(ByteRange range) => _bytes.AsSpan((int)range.Offset, (int)range.Length);
}
