using System.Security.Cryptography;

namespace BlockLayer.Formats.Qcow2;

/// <summary>AES in CBC mode, each sector a chain of its own. Decryption has no chain to wait for, so a whole chunk goes through AES at once.</summary>
internal sealed class CbcCipher(ReadOnlySpan<byte> key, SectorIv iv) : SectorCipher(key, [], iv)
{
    /// <inheritdoc/>
    protected override void EncryptChunk(Lane lane, Span<byte> ivs, ReadOnlySpan<byte> plain, Span<byte> cipher, int unitLength)
    {
        for (int unit = 0; unit * unitLength < plain.Length; unit++)
        {
            lane.Data.EncryptCbc(
                plain.Slice(unit * unitLength, unitLength), ivs.Slice(unit * BlockSize, BlockSize), cipher.Slice(unit * unitLength, unitLength), PaddingMode.None);
        }
    }

    /// <inheritdoc/>
    protected override void DecryptChunk(Lane lane, Span<byte> ivs, ReadOnlySpan<byte> cipher, Span<byte> plain, int unitLength)
    {
        Span<byte> before = lane.Scratch(cipher.Length); // what is added to each block: the ciphertext of the one before it, or the IV
        cipher[..^BlockSize].CopyTo(before[BlockSize..]);
        for (int unit = 0; unit * unitLength < cipher.Length; unit++)
        {
            ivs.Slice(unit * BlockSize, BlockSize).CopyTo(before[(unit * unitLength)..]);
        }

        lane.Data.DecryptEcb(cipher, plain, PaddingMode.None);
        XorBytes.Into(plain, before, plain);
    }
}
