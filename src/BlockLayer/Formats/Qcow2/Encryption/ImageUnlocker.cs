using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

/// <summary>From an encrypted image and a passphrase to the cipher of its clusters.</summary>
internal static class ImageUnlocker
{
    private const int LegacyKeyLength = 16;

    /// <summary>Makes the cipher. Reads the image file only.</summary>
    /// <exception cref="BlockLayerException">
    /// Denied: no key slot opens with the passphrase. InvalidFormat, Corrupt, Unsupported: the LUKS header. Io.
    /// </exception>
    internal static ValueTask<SectorCipher> UnlockAsync(BlockNode file, Qcow2Header header, Passphrase passphrase, CancellationToken cancellationToken)
        => header.Encryption == EncryptionMethod.Luks
            ? UnlockLuksAsync(file, EncryptionHeaderPointer.Find(header)!.Value, passphrase, cancellationToken)
            : new(LegacyCipher(passphrase));

    // qcow2 spec, "crypt_method" 1: AES-128-CBC under the first 16 bytes of the passphrase, padded with zeroes. Nothing in the image tells a right one from a wrong one.
    private static CbcCipher LegacyCipher(Passphrase passphrase)
    {
        Span<byte> key = stackalloc byte[LegacyKeyLength];
        key.Clear();
        passphrase.Bytes[..Math.Min(LegacyKeyLength, passphrase.Bytes.Length)].CopyTo(key);
        var cipher = new CbcCipher(key, SectorIv.Plain64);
        key.Clear();
        return cipher;
    }

    private static async ValueTask<SectorCipher> UnlockLuksAsync(BlockNode file, ByteRange place, Passphrase passphrase, CancellationToken cancellationToken)
    {
        LuksHeader header = await LuksHeader.ReadAsync(file, place, cancellationToken).ConfigureAwait(false);
        header.Validate(place.Length);
        header.ThrowIfTooManyIterations();
        byte[] keyMaterial = SecretBytes.Allocate(header.KeyMaterialLength);
        foreach (LuksKeySlot slot in header.Slots.Where(static slot => slot.IsActive))
        {
            cancellationToken.ThrowIfCancellationRequested();
            await file.ReadAsync(place.Offset + (slot.KeyMaterialSector * (long)SectorCipher.SectorSize), keyMaterial, ReadFlags.None, cancellationToken).ConfigureAwait(false);
            var attempt = new Attempt(header, slot, keyMaterial, passphrase);
            await file.Environment.Work.RunAsync(static attempt => attempt.Run(), attempt).ConfigureAwait(false);
            if (attempt.Cipher is { } cipher)
            {
                return cipher;
            }
        }

        throw new BlockLayerException(BlockErrorKind.Denied, "No key slot of the LUKS header opens with the passphrase that was given.") { NodeName = file.NodeName };
    }

    private sealed class Attempt(LuksHeader header, LuksKeySlot slot, byte[] keyMaterial, Passphrase passphrase)
    {
        internal SectorCipher? Cipher { get; private set; }

        internal void Run() => Cipher = LuksKey.TryOpen(header, slot, keyMaterial, passphrase.Bytes);
    }
}
