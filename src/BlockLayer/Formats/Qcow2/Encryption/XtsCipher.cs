using System.Buffers.Binary;
using System.Security.Cryptography;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// AES in XTS mode, composed over the framework's AES: tweaks are made for a whole chunk, and the chunk goes through AES at once. IEEE 1619-2007, section 5. Units
/// are whole blocks, so ciphertext stealing never happens.
/// </summary>
internal sealed class XtsCipher(ReadOnlySpan<byte> dataKey, ReadOnlySpan<byte> tweakKey, SectorIv iv) : SectorCipher(dataKey, tweakKey, iv)
{
    /// <inheritdoc/>
    protected override void EncryptChunk(Lane lane, Span<byte> ivs, ReadOnlySpan<byte> plain, Span<byte> cipher, int unitLength)
    {
        Span<byte> tweaks = MakeTweaks(lane, ivs, plain.Length, unitLength);
        XorBytes.Into(plain, tweaks, cipher);
        lane.Data.EncryptEcb(cipher, cipher, PaddingMode.None);
        XorBytes.Into(cipher, tweaks, cipher);
    }

    /// <inheritdoc/>
    protected override void DecryptChunk(Lane lane, Span<byte> ivs, ReadOnlySpan<byte> cipher, Span<byte> plain, int unitLength)
    {
        Span<byte> tweaks = MakeTweaks(lane, ivs, cipher.Length, unitLength);
        XorBytes.Into(cipher, tweaks, plain);
        lane.Data.DecryptEcb(plain, plain, PaddingMode.None);
        XorBytes.Into(plain, tweaks, plain);
    }

    // Each unit's first tweak is its IV encrypted; each next block's is the one before times alpha in GF(2^128), the least significant byte first.
    private static Span<byte> MakeTweaks(Lane lane, Span<byte> ivs, int length, int unitLength)
    {
        lane.Second!.EncryptEcb(ivs, ivs, PaddingMode.None);
        Span<byte> tweaks = lane.Scratch(length);
        for (int unit = 0; unit * unitLength < length; unit++)
        {
            ulong low = BinaryPrimitives.ReadUInt64LittleEndian(ivs[(unit * BlockSize)..]);
            ulong high = BinaryPrimitives.ReadUInt64LittleEndian(ivs[((unit * BlockSize) + 8)..]);
            Span<byte> chain = tweaks.Slice(unit * unitLength, unitLength);
            for (int at = 0; at < chain.Length; at += BlockSize)
            {
                BinaryPrimitives.WriteUInt64LittleEndian(chain[at..], low);
                BinaryPrimitives.WriteUInt64LittleEndian(chain[(at + 8)..], high);
                ulong carry = (ulong)((long)high >> 63) & 0x87;
                high = (high << 1) | (low >> 63);
                low = (low << 1) ^ carry;
            }
        }

        return tweaks;
    }
}
