using System.Buffers.Binary;
using BlockLayer.Primitives;

namespace BlockLayer.Filters;

/// <summary>What stands before the bytes of an entry in a log's file. README.md of this folder describes the bytes.</summary>
internal readonly record struct WriteLogEntryHeader(WriteLogKind Kind, long Number, ByteRange Range, long Covers, int DataLength, uint DataChecksum)
{
    internal const int Size = 64;

    private const uint Magic = 0x454b4c42; // "BLKE"
    private const int KindAt = 4;
    private const int NumberAt = 8;
    private const int OffsetAt = 16;
    private const int LengthAt = 24;
    private const int CoversAt = 32;
    private const int DataLengthAt = 40;
    private const int DataChecksumAt = 44;
    private const int ChecksumAt = 60;

    /// <summary>Bytes of the entry in the file, a multiple of 16.</summary>
    internal long EntrySize => Alignment.RoundUp(Size + (long)DataLength, 16);

    internal static WriteLogEntryHeader Of(WriteLogEntry entry, long number)
        => new(entry.Kind, number, entry.Range, entry.Covers, entry.Data.Length, Crc32C.Compute(entry.Data.Span));

    /// <summary>Reads a header; null: the bytes are none, or one that cannot be of a disk of <paramref name="diskLength"/> bytes.</summary>
    internal static WriteLogEntryHeader? Parse(ReadOnlySpan<byte> bytes, long diskLength)
    {
        if (BinaryPrimitives.ReadUInt32LittleEndian(bytes) != Magic || BinaryPrimitives.ReadUInt32LittleEndian(bytes[ChecksumAt..]) != Crc32C.Compute(bytes[..ChecksumAt]))
        {
            return null;
        }

        var header = new WriteLogEntryHeader(
            (WriteLogKind)BinaryPrimitives.ReadUInt32LittleEndian(bytes[KindAt..]),
            BinaryPrimitives.ReadInt64LittleEndian(bytes[NumberAt..]),
            new ByteRange(BinaryPrimitives.ReadInt64LittleEndian(bytes[OffsetAt..]), BinaryPrimitives.ReadInt64LittleEndian(bytes[LengthAt..])),
            BinaryPrimitives.ReadInt64LittleEndian(bytes[CoversAt..]),
            BinaryPrimitives.ReadInt32LittleEndian(bytes[DataLengthAt..]),
            BinaryPrimitives.ReadUInt32LittleEndian(bytes[DataChecksumAt..]));
        bool isOnDisk = header.Range.Offset >= 0 && header.Range.Length >= 0 && header.Range.Length <= diskLength && header.Range.Offset <= diskLength - header.Range.Length;
        bool hasItsData = header.Kind switch
        {
            WriteLogKind.Write => header.DataLength == header.Range.Length,
            WriteLogKind.Mark => header.DataLength >= 0 && header.Range.IsEmpty,
            WriteLogKind.Zeroes or WriteLogKind.Discard => header.DataLength == 0,
            WriteLogKind.Flush => header.DataLength == 0 && header.Range.IsEmpty,
            _ => false,
        };
        return isOnDisk && hasItsData ? header : null;
    }

    /// <summary>Writes all <see cref="Size"/> bytes.</summary>
    internal void WriteTo(Span<byte> bytes)
    {
        bytes.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, Magic);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[KindAt..], (uint)Kind);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[NumberAt..], Number);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[OffsetAt..], Range.Offset);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[LengthAt..], Range.Length);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[CoversAt..], Covers);
        BinaryPrimitives.WriteInt32LittleEndian(bytes[DataLengthAt..], DataLength);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[DataChecksumAt..], DataChecksum);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[ChecksumAt..], Crc32C.Compute(bytes[..ChecksumAt]));
    }
}
