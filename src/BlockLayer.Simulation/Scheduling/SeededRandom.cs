using System.Buffers.Binary;
using System.Numerics;

namespace BlockLayer.Simulation;

/// <summary>
/// Random numbers that are the same for a seed on every runtime and machine, which <see cref="Random"/> does not promise: xoshiro256**, seeded
/// through SplitMix64. Not for secrets. Not thread-safe.
/// </summary>
public sealed class SeededRandom
{
    // Source of both generators: Blackman and Vigna, "Scrambled linear pseudorandom number generators" (prng.di.unimi.it, public domain).
    private ulong _s0;
    private ulong _s1;
    private ulong _s2;
    private ulong _s3;

    /// <summary>Starts the sequence of <paramref name="seed"/>; every seed is good, also 0.</summary>
    public SeededRandom(ulong seed)
    {
        _s0 = SplitMix(ref seed);
        _s1 = SplitMix(ref seed);
        _s2 = SplitMix(ref seed);
        _s3 = SplitMix(ref seed);
    }

    /// <summary>The next 64 bits.</summary>
    public ulong NextUInt64()
    {
        ulong result = BitOperations.RotateLeft(_s1 * 5, 7) * 9;
        ulong shifted = _s1 << 17;
        _s2 ^= _s0;
        _s3 ^= _s1;
        _s1 ^= _s2;
        _s0 ^= _s3;
        _s2 ^= shifted;
        _s3 = BitOperations.RotateLeft(_s3, 45);
        return result;
    }

    /// <summary>A number from 0 to <paramref name="bound"/> - 1, all equally likely. The bound is at least 1.</summary>
    public int Next(int bound) => (int)NextInt64(bound);

    /// <summary>A number from 0 to <paramref name="bound"/> - 1, all equally likely. The bound is at least 1.</summary>
    public long NextInt64(long bound)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bound, 1);
        ulong range = (ulong)bound;
        ulong high = Math.BigMul(NextUInt64(), range, out ulong low);
        if (low < range)
        {
            // The few low products that would make some numbers likelier than others are drawn again (Lemire's method).
            ulong unfair = (0 - range) % range;
            while (low < unfair)
            {
                high = Math.BigMul(NextUInt64(), range, out low);
            }
        }

        return (long)high;
    }

    /// <summary>A number in [0, 1) with 53 random bits.</summary>
    public double NextDouble() => (NextUInt64() >> 11) * (1.0 / (1UL << 53));

    /// <summary>True with the given probability: never at 0, always at 1. Draws one number either way.</summary>
    public bool Chance(double probability) => NextDouble() < probability;

    /// <summary>Fills a buffer with random bytes.</summary>
    public void Fill(Span<byte> buffer)
    {
        while (buffer.Length >= sizeof(ulong))
        {
            BinaryPrimitives.WriteUInt64LittleEndian(buffer, NextUInt64());
            buffer = buffer[sizeof(ulong)..];
        }

        if (!buffer.IsEmpty)
        {
            Span<byte> rest = stackalloc byte[sizeof(ulong)];
            BinaryPrimitives.WriteUInt64LittleEndian(rest, NextUInt64());
            rest[..buffer.Length].CopyTo(buffer);
        }
    }

    /// <summary>
    /// A generator of its own, determined by this one's state and <paramref name="purpose"/>. This one does not advance, so that one more
    /// consumer of randomness does not change what the others see.
    /// </summary>
    public SeededRandom Fork(ulong purpose)
    {
        ulong mixed = _s0 ^ BitOperations.RotateLeft(_s3, 23) ^ (purpose * 0x9E3779B97F4A7C15);
        return new SeededRandom(SplitMix(ref mixed));
    }

    private static ulong SplitMix(ref ulong state)
    {
        ulong z = state += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
