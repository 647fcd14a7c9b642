using System.Security.Cryptography;

namespace BlockLayer.Formats.Qcow2;

/// <summary>AES block by block, whatever the sector: equal blocks of a disk show as equal. For images that are so.</summary>
internal sealed class EcbCipher(ReadOnlySpan<byte> key) : SectorCipher(key, [], SectorIv.None)
{
    /// <inheritdoc/>
    protected override void EncryptChunk(Lane lane, Span<byte> ivs, ReadOnlySpan<byte> plain, Span<byte> cipher, int unitLength)
        => lane.Data.EncryptEcb(plain, cipher, PaddingMode.None);

    /// <inheritdoc/>
    protected override void DecryptChunk(Lane lane, Span<byte> ivs, ReadOnlySpan<byte> cipher, Span<byte> plain, int unitLength)
        => lane.Data.DecryptEcb(cipher, plain, PaddingMode.None);
}
