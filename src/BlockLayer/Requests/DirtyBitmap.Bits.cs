using System.Buffers.Binary;
using System.Diagnostics;
using System.Numerics;
using BlockLayer.Primitives;

namespace BlockLayer.Requests;

// Chunks and words: the bits themselves, and their stored form.
internal sealed partial class DirtyBitmap
{
    /// <summary>Sets bits from their stored form: bit n is bit n % 8 of byte n / 8.</summary>
    /// <param name="firstBit">Which bit the first byte begins with, a multiple of 64.</param>
    /// <param name="bytes">Bits; those past the end are left out.</param>
    internal void ImportBits(long firstBit, ReadOnlySpan<byte> bytes)
    {
        Debug.Assert(firstBit % 64 == 0, "words are words");
        long count = BitCount;
        Span<byte> padded = stackalloc byte[sizeof(ulong)];
        for (int i = 0; i < bytes.Length && firstBit + (8L * i) < count; i += sizeof(ulong))
        {
            padded.Clear();
            bytes[i..Math.Min(i + sizeof(ulong), bytes.Length)].CopyTo(padded);
            long bit = firstBit + (8L * i);
            ulong word = BinaryPrimitives.ReadUInt64LittleEndian(padded) & MaskBelow(count - bit);
            if (word != 0)
            {
                OrWord(bit, word);
            }
        }
    }

    /// <summary>Sets a run of bits; those past the end are left out.</summary>
    internal void ImportOnes(long firstBit, long bits) => SetBits(firstBit, Math.Min(firstBit + bits, BitCount));

    /// <summary>Writes bits in their stored form; those past the end are zeroes.</summary>
    /// <param name="firstBit">Which bit the first byte begins with, a multiple of 64.</param>
    /// <param name="bytes">Overwritten; a multiple of 8 bytes.</param>
    internal void ExportBits(long firstBit, Span<byte> bytes)
    {
        Debug.Assert(firstBit % 64 == 0 && bytes.Length % sizeof(ulong) == 0, "words are words");
        for (int i = 0; i < bytes.Length; i += sizeof(ulong))
        {
            long bit = firstBit + (8L * i);
            ulong word = ChunkOf(bit) is { } chunk ? Volatile.Read(ref chunk[WordOf(bit)]) & MaskBelow(BitCount - bit) : 0;
            BinaryPrimitives.WriteUInt64LittleEndian(bytes[i..], word);
        }
    }

    private static ulong[] CreateFull()
    {
        ulong[] full = new ulong[ChunkWords];
        Array.Fill(full, ulong.MaxValue);
        return full;
    }

    private static int WordOf(long bit) => (int)(bit / 64 % ChunkWords);

    private static int ChunksFor(long bits) => (int)Alignment.DivideRoundUp(bits, ChunkBits);

    /// <summary>The lowest <paramref name="bits"/> bits of a word; all where there are more, none where there are none.</summary>
    private static ulong MaskBelow(long bits) => bits >= 64 ? ulong.MaxValue : bits <= 0 ? 0 : (1UL << (int)bits) - 1;

    private long BitsFor(long length) => BitsFor(length, GranularityBits);

    private void ThrowIfTooLong(long length)
    {
        if (!CanCover(length, GranularityBits))
        {
            throw new ArgumentException($"A bitmap over {length} bytes with a granularity of {Granularity} has more than {MaxBits} bits; choose a larger granularity.");
        }
    }

    private ulong[]? ChunkOf(long bit)
    {
        ulong[]?[]? chunks = Volatile.Read(ref _chunks);
        long index = bit / ChunkBits;
        return index < (chunks?.Length ?? 0) ? Volatile.Read(ref chunks![index]) : null;
    }

    private void ResizeLocked(long length)
    {
        long count = BitsFor(length);
        if (_chunks is { } old)
        {
            var chunks = new ulong[]?[ChunksFor(count)];
            Array.Copy(old, chunks, Math.Min(old.Length, chunks.Length));
            Volatile.Write(ref _chunks, chunks);
            ClearBitsLocked(chunks, count, (long)chunks.Length * ChunkBits);
        }

        Volatile.Write(ref _length, length);
    }

    private void SetBits(long first, long end)
    {
        for (long bit = first; bit < end;)
        {
            long chunkEnd = Math.Min(end, Alignment.RoundDown(bit, ChunkBits) + ChunkBits);
            ulong[]? chunk = ChunkOf(bit) ?? EnsureChunk(bit, isWhole: chunkEnd - bit == ChunkBits);
            if (chunk is not null && chunk != s_full)
            {
                for (long at = bit; at < chunkEnd; at = Alignment.RoundDown(at, 64) + 64)
                {
                    Or(chunk, at, MaskBelow(chunkEnd - Alignment.RoundDown(at, 64)) & ~MaskBelow(at & 63));
                }
            }

            bit = chunkEnd;
        }
    }

    private void OrWord(long bit, ulong word)
    {
        ulong[]? chunk = ChunkOf(bit) ?? EnsureChunk(bit, isWhole: false);
        if (chunk is not null && chunk != s_full)
        {
            Or(chunk, bit, word);
        }
    }

    private static void Or(ulong[] chunk, long bit, ulong mask)
    {
        ref ulong word = ref chunk[WordOf(bit)];
        if ((Volatile.Read(ref word) & mask) != mask)
        {
            Interlocked.Or(ref word, mask);
        }
    }

    /// <summary>The chunk of a bit, made if there was none: the shared one if all of it is to be set. Null when the disk has shrunk meanwhile.</summary>
    private ulong[]? EnsureChunk(long bit, bool isWhole)
    {
        lock (_shape)
        {
            _chunks ??= new ulong[]?[ChunksFor(BitCount)];
            long index = bit / ChunkBits;
            return index >= _chunks.Length ? null : _chunks[index] ??= isWhole ? s_full : new ulong[ChunkWords];
        }
    }

    private void ClearBits(long first, long end)
    {
        lock (_shape)
        {
            if (_chunks is { } chunks)
            {
                ClearBitsLocked(chunks, first, end);
            }
        }
    }

    private static void ClearBitsLocked(ulong[]?[] chunks, long first, long end)
    {
        for (long bit = first; bit < end;)
        {
            long chunkEnd = Math.Min(end, Alignment.RoundDown(bit, ChunkBits) + ChunkBits);
            ref ulong[]? slot = ref chunks[bit / ChunkBits];
            if (slot == s_full)
            {
                Volatile.Write(ref slot, (ulong[])s_full.Clone());
            }

            for (long at = bit; slot is { } chunk && at < chunkEnd; at = Alignment.RoundDown(at, 64) + 64)
            {
                Interlocked.And(ref chunk[WordOf(at)], ~(MaskBelow(chunkEnd - Alignment.RoundDown(at, 64)) & ~MaskBelow(at & 63)));
            }

            bit = chunkEnd;
        }
    }

    /// <summary>The first bit from <paramref name="bit"/> on that is set, or clear; <paramref name="end"/> if there is none before it.</summary>
    private long Find(long bit, long end, bool wanted)
    {
        while (bit < end)
        {
            ulong[]? chunk = ChunkOf(bit);
            if ((chunk is null && wanted) || (chunk == s_full && !wanted))
            {
                bit = Alignment.RoundDown(bit, ChunkBits) + ChunkBits;
                continue;
            }

            ulong word = chunk is null ? 0 : Volatile.Read(ref chunk[WordOf(bit)]);
            word = (wanted ? word : ~word) & ~MaskBelow(bit & 63);
            if (word != 0)
            {
                return Math.Min(end, Alignment.RoundDown(bit, 64) + BitOperations.TrailingZeroCount(word));
            }

            bit = Alignment.RoundDown(bit, 64) + 64;
        }

        return end;
    }
}
