using System.Buffers.Binary;
using System.Security.Cryptography;

namespace BlockLayer.Formats.Qcow2;

/// <summary>How the number of a sector becomes its IV of 16 bytes.</summary>
internal abstract class SectorIv : IDisposable
{
    /// <summary>Bytes of an IV.</summary>
    internal const int Size = 16;

    /// <summary>Zeroes, for a mode that uses none.</summary>
    internal static SectorIv None { get; } = new Plain(0);

    /// <summary>The number in 64 bits, little-endian, then zeroes.</summary>
    internal static SectorIv Plain64 { get; } = new Plain(ulong.MaxValue);

    /// <summary>The number's low 32 bits, little-endian, then zeroes.</summary>
    internal static SectorIv Plain32 { get; } = new Plain(uint.MaxValue);

    /// <summary>The number as in <see cref="Plain64"/>, encrypted by AES under the hash of the data's key.</summary>
    internal static SectorIv Essiv(ReadOnlySpan<byte> dataKey, HashAlgorithmName hash) => new EncryptedNumber(dataKey, hash);

    /// <summary>Writes the IVs of consecutive sectors one behind the other.</summary>
    internal abstract void Fill(Span<byte> ivs, long firstSector);

    /// <summary>Forgets a key, if there is one.</summary>
    public virtual void Dispose()
    {
    }

    private sealed class Plain(ulong mask) : SectorIv
    {
        internal override void Fill(Span<byte> ivs, long firstSector)
        {
            ulong sector = (ulong)firstSector;
            for (int at = 0; at < ivs.Length; at += Size)
            {
                BinaryPrimitives.WriteUInt64LittleEndian(ivs[at..], sector++ & mask);
                BinaryPrimitives.WriteUInt64LittleEndian(ivs[(at + 8)..], 0);
            }
        }
    }

    private sealed class EncryptedNumber : SectorIv
    {
        private readonly Lock _gate = new();
        private readonly Aes _aes = Aes.Create(); // guarded by _gate

        internal EncryptedNumber(ReadOnlySpan<byte> dataKey, HashAlgorithmName hash)
        {
            byte[] key = CryptographicOperations.HashData(hash, dataKey);
            _aes.SetKey(key);
            CryptographicOperations.ZeroMemory(key);
        }

        internal override void Fill(Span<byte> ivs, long firstSector)
        {
            Plain64.Fill(ivs, firstSector);
            lock (_gate)
            {
                _aes.EncryptEcb(ivs, ivs, PaddingMode.None);
            }
        }

        public override void Dispose()
        {
            _aes.Dispose();
            base.Dispose();
        }
    }
}
