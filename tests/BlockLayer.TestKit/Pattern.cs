namespace BlockLayer.TestKit;

/// <summary>Bytes that tell where they were written and by whom, so that a misplaced or stale byte cannot look right.</summary>
public static class Pattern
{
    /// <summary>Fills <paramref name="buffer"/> as the content of <paramref name="offset"/> written by <paramref name="writer"/>; never zero.</summary>
    public static void Fill(Span<byte> buffer, long offset, int writer)
    {
        for (int i = 0; i < buffer.Length; i++)
        {
            buffer[i] = At(offset + i, writer);
        }
    }

    /// <summary>A new buffer filled by <see cref="Fill"/>.</summary>
    public static byte[] Of(long offset, int length, int writer)
    {
        byte[] buffer = new byte[length];
        Fill(buffer, offset, writer);
        return buffer;
    }

    /// <summary>The byte that <paramref name="writer"/> puts at <paramref name="offset"/>; never zero.</summary>
    public static byte At(long offset, int writer)
    {
        uint mixed = (uint)((offset * 2654435761L) ^ ((long)writer * 40503) ^ (offset >> 9));
        mixed ^= mixed >> 15;
        return (byte)((mixed % 255) + 1);
    }
}
