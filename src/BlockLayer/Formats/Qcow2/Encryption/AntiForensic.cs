using System.Buffers.Binary;
using System.Security.Cryptography;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// A key spread over many stripes, all of which are needed to get it back, so that overwriting any of them destroys it. LUKS On-Disk Format Specification 1.2.3,
/// section 2.4.
/// </summary>
internal static class AntiForensic
{
    /// <summary>Spreads a key.</summary>
    /// <param name="key">The key.</param>
    /// <param name="stripes">Filled: as many stripes of the key's length as fit.</param>
    /// <param name="hash">Diffuses what one stripe says over the next.</param>
    internal static void Split(ReadOnlySpan<byte> key, Span<byte> stripes, HashAlgorithmName hash)
    {
        RandomNumberGenerator.Fill(stripes[..^key.Length]);
        byte[] mixed = SecretBytes.Allocate(key.Length);
        Mix(stripes[..^key.Length], mixed, hash);
        XorBytes.Into(key, mixed, stripes[^key.Length..]);
        CryptographicOperations.ZeroMemory(mixed);
    }

    /// <summary>Gets a key back from all of its stripes.</summary>
    internal static void Merge(ReadOnlySpan<byte> stripes, Span<byte> key, HashAlgorithmName hash)
    {
        Mix(stripes[..^key.Length], key, hash);
        XorBytes.Into(key, stripes[^key.Length..], key);
    }

    private static void Mix(ReadOnlySpan<byte> stripes, Span<byte> mixed, HashAlgorithmName hash)
    {
        mixed.Clear();
        for (int at = 0; at < stripes.Length; at += mixed.Length)
        {
            XorBytes.Into(mixed, stripes.Slice(at, mixed.Length), mixed);
            Diffuse(mixed, hash);
        }
    }

    // Pieces as long as a digest, each replaced by the digest of its number and itself; the last one is cut.
    private static void Diffuse(Span<byte> bytes, HashAlgorithmName hash)
    {
        Span<byte> digest = stackalloc byte[LuksHash.MaxDigestLength];
        Span<byte> input = stackalloc byte[sizeof(uint) + LuksHash.MaxDigestLength];
        uint number = 0;
        while (!bytes.IsEmpty)
        {
            int digestLength = LuksHash.DigestLength(hash);
            int length = Math.Min(digestLength, bytes.Length);
            BinaryPrimitives.WriteUInt32BigEndian(input, number++);
            bytes[..length].CopyTo(input[sizeof(uint)..]);
            CryptographicOperations.HashData(hash, input[..(sizeof(uint) + length)], digest);
            digest[..length].CopyTo(bytes);
            bytes = bytes[length..];
        }

        CryptographicOperations.ZeroMemory(digest);
        CryptographicOperations.ZeroMemory(input);
    }
}
