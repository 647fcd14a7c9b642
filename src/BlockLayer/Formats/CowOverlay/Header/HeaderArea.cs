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
/// Changes run one at a time under the turn. After a failed one, the fields and the record here are what was last known to be on disk; on disk may be the new ones.
/// </remarks>
internal sealed class HeaderArea
{
    private readonly BlockEdge _file;
    private readonly AsyncLock _turn = new();
    private readonly byte[] _bytes;      // guarded by _turn
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
        record.WriteTo(RecordBytes);
        await WriteAsync(RecordRange).ConfigureAwait(false);
        await _file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
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
    /// switches to it, then the room of the old name is cleared.
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
            name.CopyTo(_bytes, offset);
            await WriteAsync(new ByteRange(offset, name.Length)).ConfigureAwait(false);
            await _file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
            next = next with { BackingNameOffset = (uint)offset, BackingNameSize = (uint)name.Length, BackingFormat = format };
        }

        await SwitchAsync(next).ConfigureAwait(false);
        Volatile.Write(ref _backingName, reference?.Name);
        if (old.HasBacking)
        {
            NameBytes(old.BackingNameRange).Clear();
            await WriteAsync(old.BackingNameRange).ConfigureAwait(false); // tidiness, so nobody waits for it to be durable
        }
    }

    // Under the turn. The fields on disk and here change together, or those here do not.
    private async ValueTask SwitchAsync(CowOverlayHeader next)
    {
        byte[] sector = _bytes[..CowOverlayLimits.SectorSize];
        next.WriteTo(sector);
        await _file.WriteAsync(0, sector, CancellationToken.None).ConfigureAwait(false);
        await _file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        sector.CopyTo(_bytes, 0);
        Volatile.Write(ref _header, next);
    }

    private ValueTask WriteAsync(ByteRange range)
    {
        ByteRange sectors = range.RoundOut(CowOverlayLimits.SectorSize);
        return _file.WriteAsync(sectors.Offset, _bytes.AsMemory((int)sectors.Offset, (int)sectors.Length), CancellationToken.None);
    }

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
