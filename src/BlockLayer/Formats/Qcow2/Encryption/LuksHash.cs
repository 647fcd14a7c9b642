using System.Buffers.Binary;
using System.Security.Cryptography;

namespace BlockLayer.Formats.Qcow2;

/// <summary>The hashes that a LUKS header may name and the framework has.</summary>
internal static class LuksHash
{
    /// <summary>Bytes of the longest digest.</summary>
    internal const int MaxDigestLength = 64;

    /// <summary>Their names, for sentences.</summary>
    internal const string Known = "md5, sha1, sha256, sha384 and sha512";

    /// <summary>The hash of a name; null where the framework has none. It has neither sha224 nor ripemd160, which QEMU has.</summary>
    internal static HashAlgorithmName? TryFind(string name) => name switch
    {
        "md5" => HashAlgorithmName.MD5,
        "sha1" => HashAlgorithmName.SHA1,
        "sha256" => HashAlgorithmName.SHA256,
        "sha384" => HashAlgorithmName.SHA384,
        "sha512" => HashAlgorithmName.SHA512,
        _ => null,
    };

    /// <summary>Bytes of a digest.</summary>
    internal static int DigestLength(HashAlgorithmName hash)
        => hash == HashAlgorithmName.MD5 ? 16
            : hash == HashAlgorithmName.SHA1 ? 20
            : hash == HashAlgorithmName.SHA256 ? 32
            : hash == HashAlgorithmName.SHA384 ? 48
            : MaxDigestLength;

    /// <summary>PBKDF2 over HMAC of the hash. RFC 8018, section 5.2.</summary>
    /// <param name="secret">The passphrase, or the key whose digest is wanted.</param>
    /// <param name="salt">The salt.</param>
    /// <param name="derived">Filled.</param>
    /// <param name="iterations">Rounds: at least 1.</param>
    /// <param name="hash">One of those that are known.</param>
    internal static void Derive(ReadOnlySpan<byte> secret, ReadOnlySpan<byte> salt, Span<byte> derived, int iterations, HashAlgorithmName hash)
    {
        if (hash != HashAlgorithmName.MD5)
        {
            Rfc2898DeriveBytes.Pbkdf2(secret, salt, derived, iterations, hash);
            return;
        }

        // The framework has HMAC of MD5 and does not offer PBKDF2 over it.
        Span<byte> round = stackalloc byte[MaxDigestLength];
        Span<byte> sum = stackalloc byte[MaxDigestLength];
        Span<byte> number = stackalloc byte[sizeof(uint)];
        round = round[..DigestLength(hash)];
        sum = sum[..round.Length];
        using IncrementalHash hmac = IncrementalHash.CreateHMAC(hash, secret);
        for (uint block = 1; !derived.IsEmpty; block++)
        {
            BinaryPrimitives.WriteUInt32BigEndian(number, block);
            hmac.AppendData(salt);
            hmac.AppendData(number);
            hmac.GetHashAndReset(round);
            round.CopyTo(sum);
            for (int i = 1; i < iterations; i++)
            {
                hmac.AppendData(round);
                hmac.GetHashAndReset(round);
                XorBytes.Into(sum, round, sum);
            }

            int length = Math.Min(sum.Length, derived.Length);
            sum[..length].CopyTo(derived);
            derived = derived[length..];
        }

        CryptographicOperations.ZeroMemory(round);
        CryptographicOperations.ZeroMemory(sum);
    }
}
