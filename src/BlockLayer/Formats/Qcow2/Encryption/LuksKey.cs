using System.Security.Cryptography;

namespace BlockLayer.Formats.Qcow2;

/// <summary>From a passphrase to the master key, and back into a key slot. All of it takes long on purpose, so it runs where CPU work runs.</summary>
internal static class LuksKey
{
    /// <summary>Tries a passphrase on a slot.</summary>
    /// <param name="header">The header.</param>
    /// <param name="slot">An active one.</param>
    /// <param name="keyMaterial">The slot's key material as it is on disk; decrypted in place, and cleared.</param>
    /// <param name="passphrase">The passphrase.</param>
    /// <returns>The cipher under the master key; null when the passphrase is not this slot's.</returns>
    internal static SectorCipher? TryOpen(LuksHeader header, LuksKeySlot slot, Span<byte> keyMaterial, ReadOnlySpan<byte> passphrase)
    {
        HashAlgorithmName hash = header.Cipher.HashName;
        byte[] key = SecretBytes.Allocate(header.Cipher.KeyLength);
        try
        {
            LuksHash.Derive(passphrase, slot.Salt.Span, key, (int)slot.Iterations, hash);
            using (SectorCipher stripes = header.Cipher.Create(key))
            {
                stripes.Decrypt(0, keyMaterial, keyMaterial);
            }

            AntiForensic.Merge(keyMaterial[..(key.Length * LuksKeySlot.StripeCount)], key, hash);
            Span<byte> digest = stackalloc byte[LuksHeader.DigestLength];
            LuksHash.Derive(key, header.DigestSalt.Span, digest, (int)header.DigestIterations, hash);
            return CryptographicOperations.FixedTimeEquals(digest, header.Digest.Span) ? header.Cipher.Create(key) : null;
        }
        finally
        {
            CryptographicOperations.ZeroMemory(key);
            CryptographicOperations.ZeroMemory(keyMaterial);
        }
    }

    /// <summary>Writes the master key into the key material of a slot, under a passphrase.</summary>
    internal static void Store(LuksHeader header, LuksKeySlot slot, Span<byte> keyMaterial, ReadOnlySpan<byte> masterKey, ReadOnlySpan<byte> passphrase)
    {
        HashAlgorithmName hash = header.Cipher.HashName;
        byte[] key = SecretBytes.Allocate(masterKey.Length);
        try
        {
            AntiForensic.Split(masterKey, keyMaterial[..(key.Length * LuksKeySlot.StripeCount)], hash);
            LuksHash.Derive(passphrase, slot.Salt.Span, key, (int)slot.Iterations, hash);
            using SectorCipher stripes = header.Cipher.Create(key);
            stripes.Encrypt(0, keyMaterial, keyMaterial);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(key);
        }
    }
}
