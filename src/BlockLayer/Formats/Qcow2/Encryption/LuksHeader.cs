using System.Buffers.Binary;
using System.Text;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// The header of LUKS version 1: how the data is encrypted, and where the master key lies under which passphrases. LUKS On-Disk Format Specification 1.2.3,
/// figure 2. Positions in it count from its own start, wherever an image keeps it.
/// </summary>
internal sealed record LuksHeader
{
    /// <summary>Bytes up to the key material.</summary>
    internal const int Size = 592;

    /// <summary>Key slots.</summary>
    internal const int SlotCount = 8;

    /// <summary>Bytes of the master key's digest.</summary>
    internal const int DigestLength = 20;

    /// <summary>Bytes of a salt.</summary>
    internal const int SaltLength = 32;

    /// <summary>
    /// Rounds of PBKDF2 that an open does at most, for all key slots together: some ten seconds. Ours; a header that asks for more keeps the opener busy for nothing.
    /// </summary>
    internal const long MaxIterations = 1L << 26;

    internal const int CipherNameAt = 8;
    internal const int CipherModeAt = 40;
    internal const int HashSpecAt = 72;
    internal const int KeyBytesAt = 108;

    private const int NameLength = 32;
    private const int VersionAt = 6;
    private const int PayloadOffsetAt = 104;
    private const int DigestAt = 112;
    private const int DigestSaltAt = 132;
    private const int DigestIterationsAt = 164;
    private const int UuidAt = 168;
    private const int UuidLength = 40;
    private const int SlotsAt = 208;

    private static ReadOnlySpan<byte> Magic => [(byte)'L', (byte)'U', (byte)'K', (byte)'S', 0xba, 0xbe];

    /// <summary>Cipher, mode, hash and key length.</summary>
    internal required LuksCipherName Cipher { get; init; }

    /// <summary>Where data starts in a disk that is LUKS by itself, in sectors. In qcow2 it only ends the key material.</summary>
    internal required uint PayloadSector { get; init; }

    /// <summary>PBKDF2 of the master key, by which the right one is known.</summary>
    internal required ReadOnlyMemory<byte> Digest { get; init; }

    /// <summary>Salt of <see cref="Digest"/>.</summary>
    internal required ReadOnlyMemory<byte> DigestSalt { get; init; }

    /// <summary>Rounds of <see cref="Digest"/>.</summary>
    internal required uint DigestIterations { get; init; }

    /// <summary>The volume's UUID as text.</summary>
    internal required string Uuid { get; init; }

    /// <summary>All eight.</summary>
    internal required IReadOnlyList<LuksKeySlot> Slots { get; init; }

    /// <summary>Bytes of one slot's key material, in whole sectors.</summary>
    internal int KeyMaterialLength => (int)Alignment.RoundUp((long)Cipher.KeyLength * LuksKeySlot.StripeCount, SectorCipher.SectorSize);

    /// <summary>Reads the fields from an image file, and judges none of them.</summary>
    /// <param name="file">The image file.</param>
    /// <param name="place">Where the header is in it: at least <see cref="Size"/> bytes of it.</param>
    /// <param name="cancellationToken">Stops the read.</param>
    /// <exception cref="ImageFormatException">InvalidFormat or Unsupported: it cannot be taken apart.</exception>
    internal static async ValueTask<LuksHeader> ReadAsync(BlockNode file, ByteRange place, CancellationToken cancellationToken)
    {
        byte[] bytes = new byte[Size];
        await file.ReadAsync(place.Offset, bytes, ReadFlags.None, cancellationToken).ConfigureAwait(false);
        return Parse(bytes);
    }

    /// <summary>Takes a header apart, and judges none of its fields.</summary>
    /// <exception cref="ImageFormatException">InvalidFormat, or Unsupported by its version.</exception>
    private static LuksHeader Parse(ReadOnlySpan<byte> bytes)
    {
        if (!bytes.StartsWith(Magic))
        {
            throw ImageFormatException.Invalid("magic of the LUKS header", 0, Convert.ToHexStringLower(bytes[..6]), Convert.ToHexStringLower(Magic));
        }

        ushort version = BinaryPrimitives.ReadUInt16BigEndian(bytes[VersionAt..]);
        if (version != 1)
        {
            throw ImageFormatException.Unsupported("version", VersionAt, $"version of the LUKS header is {version} at byte {VersionAt} of it; implemented is 1.");
        }

        uint keyBytes = BinaryPrimitives.ReadUInt32BigEndian(bytes[KeyBytesAt..]);
        return new LuksHeader
        {
            Cipher = new LuksCipherName(Text(bytes, CipherNameAt), Text(bytes, CipherModeAt), Text(bytes, HashSpecAt), (int)Math.Min(keyBytes, int.MaxValue)),
            PayloadSector = BinaryPrimitives.ReadUInt32BigEndian(bytes[PayloadOffsetAt..]),
            Digest = bytes.Slice(DigestAt, DigestLength).ToArray(),
            DigestSalt = bytes.Slice(DigestSaltAt, SaltLength).ToArray(),
            DigestIterations = BinaryPrimitives.ReadUInt32BigEndian(bytes[DigestIterationsAt..]),
            Uuid = Encoding.ASCII.GetString(bytes.Slice(UuidAt, UuidLength)).TrimEnd('\0'),
            Slots = ParseSlots(bytes),
        };
    }

    /// <summary>Judges the fields against the room there is.</summary>
    /// <exception cref="ImageFormatException">InvalidFormat, Corrupt, or Unsupported by name.</exception>
    internal void Validate(long room)
    {
        Cipher.Validate();
        if (PayloadSector * (long)SectorCipher.SectorSize > room)
        {
            throw ImageFormatException.Corrupt(
                "payload-offset", PayloadOffsetAt, $"payload-offset of the LUKS header is sector {PayloadSector}, past the {room} bytes that belong to the header.");
        }

        if (DigestIterations == 0)
        {
            throw ImageFormatException.Invalid("mk-digest-iter", DigestIterationsAt, "0", "at least 1");
        }

        var taken = new List<ByteRange> { new(0, Size) };
        for (int i = 0; i < SlotCount; i++)
        {
            ValidateSlot(i, taken);
        }
    }

    /// <summary>Writes it.</summary>
    internal void WriteTo(Span<byte> bytes)
    {
        bytes[..Size].Clear();
        Magic.CopyTo(bytes);
        BinaryPrimitives.WriteUInt16BigEndian(bytes[VersionAt..], 1);
        Encoding.ASCII.GetBytes(Cipher.Cipher, bytes.Slice(CipherNameAt, NameLength));
        Encoding.ASCII.GetBytes(Cipher.Mode, bytes.Slice(CipherModeAt, NameLength));
        Encoding.ASCII.GetBytes(Cipher.Hash, bytes.Slice(HashSpecAt, NameLength));
        BinaryPrimitives.WriteUInt32BigEndian(bytes[PayloadOffsetAt..], PayloadSector);
        BinaryPrimitives.WriteInt32BigEndian(bytes[KeyBytesAt..], Cipher.KeyLength);
        Digest.Span.CopyTo(bytes[DigestAt..]);
        DigestSalt.Span.CopyTo(bytes[DigestSaltAt..]);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[DigestIterationsAt..], DigestIterations);
        Encoding.ASCII.GetBytes(Uuid, bytes.Slice(UuidAt, UuidLength));
        for (int i = 0; i < SlotCount; i++)
        {
            Slots[i].WriteTo(bytes[(SlotsAt + (i * LuksKeySlot.Size))..]);
        }
    }

    /// <summary>The rounds of PBKDF2 that trying a passphrase on every active slot takes.</summary>
    /// <exception cref="ImageFormatException">Unsupported: more than <see cref="MaxIterations"/>.</exception>
    internal void ThrowIfTooManyIterations()
    {
        long total = Slots.Where(static slot => slot.IsActive).Sum(slot => (long)slot.Iterations + DigestIterations);
        if (total > MaxIterations)
        {
            throw ImageFormatException.Unsupported(
                "iterations", SlotsAt, $"The active key slots of the LUKS header ask for {total} iterations of PBKDF2; at most {MaxIterations} are done for one image.");
        }
    }

    private static LuksKeySlot[] ParseSlots(ReadOnlySpan<byte> bytes)
    {
        var slots = new LuksKeySlot[SlotCount];
        for (int i = 0; i < SlotCount; i++)
        {
            int at = SlotsAt + (i * LuksKeySlot.Size);
            slots[i] = LuksKeySlot.Parse(bytes.Slice(at, LuksKeySlot.Size), at);
        }

        return slots;
    }

    private static string Text(ReadOnlySpan<byte> bytes, int at)
    {
        ReadOnlySpan<byte> field = bytes.Slice(at, NameLength);
        int end = field.IndexOf((byte)0);
        return end >= 0 && !field[..end].ContainsAnyExceptInRange((byte)' ', (byte)'~')
            ? Encoding.ASCII.GetString(field[..end])
            : throw ImageFormatException.Invalid("name in the LUKS header", at, $"{Convert.ToHexStringLower(field)}", "printable text that ends with a zero byte");
    }

    private void ValidateSlot(int index, List<ByteRange> taken)
    {
        LuksKeySlot slot = Slots[index];
        int at = SlotsAt + (index * LuksKeySlot.Size);
        if (slot.Stripes != LuksKeySlot.StripeCount)
        {
            throw ImageFormatException.Invalid($"stripes of key slot {index}", at, $"{slot.Stripes}", $"{LuksKeySlot.StripeCount}");
        }

        if (slot is { IsActive: true, Iterations: 0 })
        {
            throw ImageFormatException.Invalid($"iterations of key slot {index}", at, "0", "at least 1");
        }

        var material = new ByteRange(slot.KeyMaterialSector * (long)SectorCipher.SectorSize, KeyMaterialLength);
        if (material.End > PayloadSector * (long)SectorCipher.SectorSize)
        {
            throw ImageFormatException.Corrupt("key material", at, $"Key slot {index} of the LUKS header overlaps the payload: its key material {material} ends behind sector {PayloadSector}.");
        }

        if (taken.Exists(other => other.Overlaps(material)))
        {
            throw ImageFormatException.Corrupt("key material", at, $"Key slot {index} of the LUKS header overlaps the header or another key slot: its key material is {material}.");
        }

        taken.Add(material);
    }
}
