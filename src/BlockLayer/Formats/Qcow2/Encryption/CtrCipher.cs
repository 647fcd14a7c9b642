using System.Buffers.Binary;
using System.Security.Cryptography;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// AES in counter mode: blocks are added to the encrypted counter, which starts at the sector's IV and is one big-endian number of 128 bits. NIST SP 800-38A,
/// section 6.5. A sector that is written twice is encrypted twice with the same numbers, which is why nothing should be made so that is not so already.
/// </summary>
internal sealed class CtrCipher(ReadOnlySpan<byte> key, SectorIv iv) : SectorCipher(key, [], iv)
{
    /// <inheritdoc/>
    protected override void EncryptChunk(Lane lane, Span<byte> ivs, ReadOnlySpan<byte> plain, Span<byte> cipher, int unitLength)
        => Add(lane, ivs, plain, cipher, unitLength);

    /// <inheritdoc/>
    protected override void DecryptChunk(Lane lane, Span<byte> ivs, ReadOnlySpan<byte> cipher, Span<byte> plain, int unitLength)
        => Add(lane, ivs, cipher, plain, unitLength);

    private static void Add(Lane lane, Span<byte> ivs, ReadOnlySpan<byte> source, Span<byte> destination, int unitLength)
    {
        Span<byte> stream = lane.Scratch(source.Length);
        for (int at = 0; at < stream.Length; at += BlockSize)
        {
            UInt128 start = BinaryPrimitives.ReadUInt128BigEndian(ivs[(at / unitLength * BlockSize)..]);
            BinaryPrimitives.WriteUInt128BigEndian(stream[at..], start + (uint)(at % unitLength / BlockSize));
        }

        lane.Data.EncryptEcb(stream, stream, PaddingMode.None);
        XorBytes.Into(source, stream, destination);
    }
}
