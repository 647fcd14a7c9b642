using System.Buffers.Binary;
using BlockLayer.Errors;
using BlockLayer.Primitives;

namespace BlockLayer.Filters;

/// <summary>The first 512 bytes of a log's file. README.md of this folder describes them.</summary>
/// <param name="DiskLength">The longest that the logged disk has been, in bytes; entries lie within.</param>
internal readonly record struct WriteLogFileHeader(long DiskLength)
{
    internal const int Size = 512;

    private const uint Version = 1;
    private const int VersionAt = 8;
    private const int DiskLengthAt = 16;
    private const int ChecksumAt = 508;

    private static ReadOnlySpan<byte> Magic => "BLKWRLOG"u8;

    /// <exception cref="ImageFormatException">InvalidFormat: no write log. Corrupt: a damaged one. Unsupported: of a later version.</exception>
    internal static WriteLogFileHeader Parse(ReadOnlySpan<byte> bytes)
    {
        if (!bytes.StartsWith(Magic))
        {
            throw ImageFormatException.Invalid("magic", 0, Convert.ToHexString(bytes[..Magic.Length]), $"{Convert.ToHexString(Magic)}, the magic of a write log");
        }

        if (BinaryPrimitives.ReadUInt32LittleEndian(bytes[ChecksumAt..]) != Crc32C.Compute(bytes[..ChecksumAt]))
        {
            throw ImageFormatException.Corrupt("checksum", ChecksumAt, "The header's checksum does not match.");
        }

        uint version = BinaryPrimitives.ReadUInt32LittleEndian(bytes[VersionAt..]);
        if (version != Version)
        {
            throw ImageFormatException.Unsupported("version", VersionAt, $"version is {version} at byte {VersionAt}; known is {Version}.");
        }

        long length = BinaryPrimitives.ReadInt64LittleEndian(bytes[DiskLengthAt..]);
        return length >= 0 ? new WriteLogFileHeader(length) : throw ImageFormatException.OutOfRange("disk_length", DiskLengthAt, length, 0, long.MaxValue);
    }

    /// <summary>Writes all <see cref="Size"/> bytes.</summary>
    internal void WriteTo(Span<byte> bytes)
    {
        bytes.Clear();
        Magic.CopyTo(bytes);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[VersionAt..], Version);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[DiskLengthAt..], DiskLength);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[ChecksumAt..], Crc32C.Compute(bytes[..ChecksumAt]));
    }
}
