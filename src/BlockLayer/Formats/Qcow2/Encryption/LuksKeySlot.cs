using System.Buffers.Binary;
using BlockLayer.Errors;

namespace BlockLayer.Formats.Qcow2;

/// <summary>One of the eight places of a LUKS1 header where the master key can lie, encrypted under a passphrase. LUKS specification 1.2.3, figure 3.</summary>
/// <param name="IsActive">It holds a key.</param>
/// <param name="Iterations">Of PBKDF2, from the passphrase to the key of the key material.</param>
/// <param name="Salt">32 bytes.</param>
/// <param name="KeyMaterialSector">Where the key material starts, in sectors from the start of the LUKS header.</param>
/// <param name="Stripes">Copies of the key's length in the key material.</param>
internal sealed record LuksKeySlot(bool IsActive, uint Iterations, ReadOnlyMemory<byte> Salt, uint KeyMaterialSector, uint Stripes)
{
    /// <summary>Bytes in the header.</summary>
    internal const int Size = 48;

    /// <summary>LUKS specification 1.2.3, figure 3: the number of stripes is 4000.</summary>
    internal const int StripeCount = 4000;

    private const uint ActiveMark = 0x00ac_71f3;
    private const uint InactiveMark = 0x0000_dead;
    private const int SaltAt = 8;
    private const int KeyMaterialAt = 40;
    private const int StripesAt = 44;

    /// <summary>Reads one.</summary>
    /// <exception cref="ImageFormatException">InvalidFormat: it is neither active nor inactive.</exception>
    internal static LuksKeySlot Parse(ReadOnlySpan<byte> bytes, int at)
    {
        uint mark = BinaryPrimitives.ReadUInt32BigEndian(bytes);
        if (mark is not (ActiveMark or InactiveMark))
        {
            throw ImageFormatException.Invalid("key slot's state", at, $"0x{mark:x8}", $"0x{ActiveMark:x8} (active) or 0x{InactiveMark:x8}");
        }

        return new LuksKeySlot(
            mark == ActiveMark,
            BinaryPrimitives.ReadUInt32BigEndian(bytes[4..]),
            bytes[SaltAt..KeyMaterialAt].ToArray(),
            BinaryPrimitives.ReadUInt32BigEndian(bytes[KeyMaterialAt..]),
            BinaryPrimitives.ReadUInt32BigEndian(bytes[StripesAt..]));
    }

    /// <summary>Writes it.</summary>
    internal void WriteTo(Span<byte> bytes)
    {
        BinaryPrimitives.WriteUInt32BigEndian(bytes, IsActive ? ActiveMark : InactiveMark);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[4..], Iterations);
        Salt.Span.CopyTo(bytes[SaltAt..]);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[KeyMaterialAt..], KeyMaterialSector);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[StripesAt..], Stripes);
    }
}
