using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using BlockLayer.Errors;
using BlockLayer.Primitives;

namespace BlockLayer.Filters;

/// <summary>The first sector of a mirror's log: what it belongs to and how it is divided. README.md of this folder describes the bytes.</summary>
/// <param name="Regions">Length of the disk, and the size of a region.</param>
/// <param name="Pair">Which two files, see <see cref="PairOf"/>; 0 where they have no names.</param>
internal readonly record struct MirrorLogHeader(RegionGeometry Regions, UInt128 Pair)
{
    internal const int Size = 512;

    private const uint Version = 1;
    private const int VersionAt = 8;
    private const int RegionBitsAt = 12;
    private const int LengthAt = 16;
    private const int PairAt = 24;
    private const int ChecksumAt = 508;

    private static ReadOnlySpan<byte> Magic => "BLKMIRLG"u8;

    /// <summary>Names the pair of a source and a destination: the first 16 bytes of the SHA-256 of their resolved paths in UTF-8, a zero byte between them.</summary>
    internal static UInt128 PairOf(string? source, string? destination)
        => source is null || destination is null
            ? UInt128.Zero
            : BinaryPrimitives.ReadUInt128LittleEndian(SHA256.HashData(Encoding.UTF8.GetBytes($"{source}\0{destination}")));

    /// <summary>Reads a header. Null: the sector is zero, as a crash while the log was made can leave it, so there is no log yet.</summary>
    /// <exception cref="ImageFormatException">InvalidFormat: no log of a mirror. Corrupt: a damaged one. Unsupported: of a later version.</exception>
    internal static MirrorLogHeader? Parse(ReadOnlySpan<byte> sector)
    {
        if (ZeroBytes.IsAllZero(sector))
        {
            return null;
        }

        if (!sector.StartsWith(Magic))
        {
            throw ImageFormatException.Invalid("magic", 0, Convert.ToHexString(sector[..Magic.Length]), $"{Convert.ToHexString(Magic)}, the magic of a mirror's log");
        }

        uint checksum = BinaryPrimitives.ReadUInt32LittleEndian(sector[ChecksumAt..]);
        if (checksum != Crc32C.Compute(sector[..ChecksumAt]))
        {
            throw ImageFormatException.Corrupt(
                "checksum", ChecksumAt, "The header's checksum does not match, so which regions differ is not known; remove the log, and everything is copied anew.");
        }

        uint version = BinaryPrimitives.ReadUInt32LittleEndian(sector[VersionAt..]);
        if (version != Version)
        {
            throw ImageFormatException.Unsupported("version", VersionAt, $"version is {version} at byte {VersionAt}; known is {Version}.");
        }

        uint bits = BinaryPrimitives.ReadUInt32LittleEndian(sector[RegionBitsAt..]);
        if (bits is < MirrorLimits.MinRegionBits or > MirrorLimits.MaxRegionBits)
        {
            throw ImageFormatException.OutOfRange("region_bits", RegionBitsAt, bits, MirrorLimits.MinRegionBits, MirrorLimits.MaxRegionBits);
        }

        long length = BinaryPrimitives.ReadInt64LittleEndian(sector[LengthAt..]);
        var regions = new RegionGeometry(length, (int)bits);
        if (length < 0 || regions != regions.Fit())
        {
            throw ImageFormatException.OutOfRange("length", LengthAt, length, 0, (long)MirrorLimits.MaxRegions << (int)bits);
        }

        return new MirrorLogHeader(regions, BinaryPrimitives.ReadUInt128LittleEndian(sector[PairAt..]));
    }

    /// <summary>Writes all <see cref="Size"/> bytes.</summary>
    internal void WriteTo(Span<byte> sector)
    {
        sector.Clear();
        Magic.CopyTo(sector);
        BinaryPrimitives.WriteUInt32LittleEndian(sector[VersionAt..], Version);
        BinaryPrimitives.WriteUInt32LittleEndian(sector[RegionBitsAt..], (uint)Regions.RegionBits);
        BinaryPrimitives.WriteInt64LittleEndian(sector[LengthAt..], Regions.Length);
        BinaryPrimitives.WriteUInt128LittleEndian(sector[PairAt..], Pair);
        BinaryPrimitives.WriteUInt32LittleEndian(sector[ChecksumAt..], Crc32C.Compute(sector[..ChecksumAt]));
    }
}
