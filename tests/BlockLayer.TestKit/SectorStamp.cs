using System.Runtime.InteropServices;

namespace BlockLayer.TestKit;

/// <summary>
/// Sectors that tell who wrote them and where, in one number repeated 64 times: cheap enough to check every sector of every read of thousands of runs.
/// </summary>
public static class SectorStamp
{
    /// <summary>Bytes in a sector.</summary>
    public const int Size = 512;

    /// <summary>The writer of a sector of zeroes.</summary>
    public const int Zero = 0;

    /// <summary>What <see cref="WriterOf"/> answers for a sector that no single writer wrote there.</summary>
    public const int Torn = -1;

    /// <summary>Fills whole sectors as <paramref name="writer"/>'s content of <paramref name="offset"/>; writer 0 writes zeroes.</summary>
    public static void Fill(Span<byte> sectors, long offset, int writer)
    {
        Span<ulong> words = MemoryMarshal.Cast<byte, ulong>(sectors);
        for (int at = 0; at < words.Length; at += Size / 8)
        {
            words.Slice(at, Size / 8).Fill(Stamp(offset + (at * 8L), writer));
        }
    }

    /// <summary>A new buffer filled by <see cref="Fill"/>.</summary>
    public static byte[] Of(long offset, int length, int writer)
    {
        byte[] sectors = new byte[length];
        Fill(sectors, offset, writer);
        return sectors;
    }

    /// <summary>Who wrote the sector at <paramref name="offset"/>; <see cref="Torn"/> if it is a mixture, or written for another place.</summary>
    public static int WriterOf(ReadOnlySpan<byte> sector, long offset)
    {
        ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(sector[..Size]);
        ulong first = words[0];
        if (words.IndexOfAnyExcept(first) >= 0)
        {
            return Torn;
        }

        if (first == 0)
        {
            return Zero;
        }

        int writer = (int)(first >> 40);
        return Stamp(offset, writer) == first ? writer : Torn;
    }

    private static ulong Stamp(long offset, int writer) => writer == Zero ? 0 : ((ulong)writer << 40) | (ulong)(offset / Size);
}
