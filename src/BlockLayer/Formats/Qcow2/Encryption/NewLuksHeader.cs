using System.Security.Cryptography;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Storage;

namespace BlockLayer.Formats.Qcow2;

/// <summary>Makes the LUKS header of a new image: a random master key, in the first key slot under the passphrase. Laid out as QEMU does.</summary>
/// <remarks>
/// <code>
/// sector 0       8             8 + m          8 + 2m   ...   8 + 8m
/// | header | key slot 0 | key slot 1 | ...          | key slot 7 | (payload)      m: one key's material, rounded up to 4 KiB
/// </code>
/// </remarks>
internal static class NewLuksHeader
{
    private const int AreaSectors = 8; // header and key material start at multiples of 4 KiB

    /// <summary>Bytes that the header and its key material take.</summary>
    internal static int LengthFor(LuksCreateOptions options)
        => (AreaSectors + (LuksHeader.SlotCount * MaterialSectors(options.Cipher.KeyLength))) * SectorCipher.SectorSize;

    /// <summary>Makes one.</summary>
    /// <param name="options">Cipher and iterations.</param>
    /// <param name="passphrase">What opens it.</param>
    /// <param name="work">Where the derivations run.</param>
    internal static async ValueTask<byte[]> CreateAsync(LuksCreateOptions options, Passphrase passphrase, WorkScheduler work)
    {
        var made = new byte[LengthFor(options)];
        await work.RunAsync(static state => Fill(state.options, state.passphrase, state.made), (options, passphrase, made)).ConfigureAwait(false);
        return made;
    }

    private static int MaterialSectors(int keyLength)
        => (int)Alignment.RoundUp(Alignment.DivideRoundUp((long)keyLength * LuksKeySlot.StripeCount, SectorCipher.SectorSize), AreaSectors);

    private static void Fill(LuksCreateOptions options, Passphrase passphrase, byte[] made)
    {
        LuksCipherName cipher = options.Cipher;
        byte[] masterKey = SecretBytes.Allocate(cipher.KeyLength);
        RandomNumberGenerator.Fill(masterKey);
        try
        {
            byte[] digestSalt = RandomNumberGenerator.GetBytes(LuksHeader.SaltLength);
            int digestIterations = Math.Max(1000, options.Iterations / 8); // QEMU: an eighth of the slot's, at least 1000
            byte[] digest = new byte[LuksHeader.DigestLength];
            LuksHash.Derive(masterKey, digestSalt, digest, digestIterations, cipher.HashName);
            var header = new LuksHeader
            {
                Cipher = cipher,
                PayloadSector = (uint)(made.Length / SectorCipher.SectorSize),
                DigestSalt = digestSalt,
                DigestIterations = (uint)digestIterations,
                Digest = digest,
                Uuid = RandomUuid(),
                Slots = [.. Enumerable.Range(0, LuksHeader.SlotCount).Select(index => MakeSlot(index, options))],
            };
            header.WriteTo(made);
            LuksKeySlot slot = header.Slots[0];
            LuksKey.Store(header, slot, made.AsSpan((int)slot.KeyMaterialSector * SectorCipher.SectorSize, header.KeyMaterialLength), masterKey, passphrase.Bytes);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(masterKey);
        }
    }

    private static LuksKeySlot MakeSlot(int index, LuksCreateOptions options) => new(
        IsActive: index == 0,
        Iterations: index == 0 ? (uint)options.Iterations : 0,
        Salt: index == 0 ? RandomNumberGenerator.GetBytes(LuksHeader.SaltLength) : new byte[LuksHeader.SaltLength],
        KeyMaterialSector: (uint)(AreaSectors + (index * MaterialSectors(options.Cipher.KeyLength))),
        Stripes: LuksKeySlot.StripeCount);

    // RFC 9562, version 4; from the same source as the keys, since nothing else here is random on purpose.
    private static string RandomUuid()
    {
        Span<byte> bytes = stackalloc byte[16];
        RandomNumberGenerator.Fill(bytes);
        bytes[6] = (byte)((bytes[6] & 0x0f) | 0x40);
        bytes[8] = (byte)((bytes[8] & 0x3f) | 0x80);
        return new Guid(bytes, bigEndian: true).ToString("D");
    }
}
