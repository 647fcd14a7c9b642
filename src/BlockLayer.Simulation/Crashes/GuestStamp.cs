using System.Buffers.Binary;
using System.Globalization;

namespace BlockLayer.Simulation;

/// <summary>Sectors that say where they belong and who wrote them, so that no two writes ever store the same value and a wrong sector tells whose it is.</summary>
public static class GuestStamp
{
    private const ulong Magic = 0x53_45_43_54_4F_52_21_00; // "SECTOR!" and a zero: not the start of any image format

    /// <summary>Fills whole sectors with the stamp of <paramref name="writer"/>; the buffer is what goes to <paramref name="offset"/>.</summary>
    public static void Fill(Span<byte> buffer, long offset, long writer)
    {
        Span<byte> whole = stackalloc byte[SectorPattern.SectorSize];
        for (int at = 0; at < buffer.Length; at += SectorPattern.SectorSize)
        {
            Span<byte> sector = buffer.Slice(at, Math.Min(SectorPattern.SectorSize, buffer.Length - at));
            new SeededRandom((ulong)writer ^ ((ulong)(offset + at) << 20)).Fill(whole);
            BinaryPrimitives.WriteUInt64BigEndian(whole, Magic);
            BinaryPrimitives.WriteInt64BigEndian(whole[8..], writer);
            BinaryPrimitives.WriteInt64BigEndian(whole[16..], offset + at);
            whole[..sector.Length].CopyTo(sector);
        }
    }

    /// <summary>A new buffer filled by <see cref="Fill"/>.</summary>
    public static byte[] Create(long offset, int length, long writer)
    {
        byte[] buffer = new byte[length];
        Fill(buffer, offset, writer);
        return buffer;
    }

    /// <summary>What a sector holds, for people: zeroes, a stamp, or its first bytes.</summary>
    public static string Describe(ReadOnlySpan<byte> sector)
    {
        if (sector.IndexOfAnyExcept((byte)0) < 0)
        {
            return "zeroes";
        }

        if (sector.Length < 24 || BinaryPrimitives.ReadUInt64BigEndian(sector) != Magic)
        {
            return $"bytes {Convert.ToHexString(sector[..Math.Min(16, sector.Length)])}...";
        }

        long writer = BinaryPrimitives.ReadInt64BigEndian(sector[8..]);
        long offset = BinaryPrimitives.ReadInt64BigEndian(sector[16..]);
        bool intact = sector.SequenceEqual(Create(offset, sector.Length, writer));
        return string.Create(CultureInfo.InvariantCulture, $"the stamp of writer {writer} for offset 0x{offset:x}{(intact ? "" : ", damaged")}");
    }
}
