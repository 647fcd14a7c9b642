using BlockLayer.Errors;
using BlockLayer.Graph;

namespace BlockLayer.Formats.Qcow2;

/// <summary>What an image says of its encryption to whoever has no passphrase.</summary>
/// <param name="Properties">By the names of QEMU's <c>ImageInfoSpecificQCow2Encryption</c>: of LUKS the cipher and the key slots.</param>
/// <param name="Damage">Why the LUKS header cannot be used, whatever the passphrase; null when all is well, or only the cipher is not implemented.</param>
internal sealed record EncryptionDetails(IReadOnlyList<KeyValuePair<string, object>> Properties, string? Damage)
{
    /// <summary>Reads them; a damaged LUKS header is told, not refused: the tables of the image need none.</summary>
    /// <returns>Null for an image that is not encrypted.</returns>
    /// <exception cref="BlockLayerException">Io.</exception>
    internal static async ValueTask<EncryptionDetails?> ReadAsync(BlockNode file, Qcow2Header header, CancellationToken cancellationToken)
    {
        if (header.Encryption != EncryptionMethod.Luks)
        {
            return header.Encryption == EncryptionMethod.Aes ? new EncryptionDetails([new("format", "aes")], Damage: null) : null;
        }

        var properties = new List<KeyValuePair<string, object>> { new("format", "luks") };
        try
        {
            LuksHeader luks = await LuksHeader.ReadAsync(file, EncryptionHeaderPointer.Find(header)!.Value, cancellationToken).ConfigureAwait(false);
            Describe(luks, properties);
            luks.Validate(EncryptionHeaderPointer.Find(header)!.Value.Length);
        }
        catch (ImageFormatException unusable)
        {
            return new EncryptionDetails(properties, unusable.Kind == BlockErrorKind.Unsupported ? null : unusable.Message);
        }

        return new EncryptionDetails(properties, Damage: null);
    }

    private static void Describe(LuksHeader luks, List<KeyValuePair<string, object>> properties)
    {
        properties.Add(new("cipher-alg", $"{luks.Cipher.Cipher}-{luks.Cipher.CipherKeyBits}"));
        if (luks.Cipher.ParsedMode is { } mode)
        {
            properties.Add(new("cipher-mode", mode.Chaining));
            properties.Add(new("ivgen-alg", mode.Iv));
            if (mode is { Iv: LuksCipherMode.Essiv, IvHash: { } hash })
            {
                properties.Add(new("ivgen-hash-alg", hash));
            }
        }
        else
        {
            properties.Add(new("cipher-mode", luks.Cipher.Mode));
        }

        properties.Add(new("hash-alg", luks.Cipher.Hash));
        properties.Add(new("payload-offset", luks.PayloadSector * (long)SectorCipher.SectorSize));
        properties.Add(new("master-key-iters", luks.DigestIterations));
        properties.Add(new("uuid", luks.Uuid));
        properties.Add(new("slots", luks.Slots.Select(Describe).ToArray()));
    }

    private static IReadOnlyList<KeyValuePair<string, object>> Describe(LuksKeySlot slot)
    {
        KeyValuePair<string, object> place = new("key-offset", slot.KeyMaterialSector * (long)SectorCipher.SectorSize);
        return slot.IsActive
            ? [new("active", true), new("iters", slot.Iterations), new("stripes", slot.Stripes), place]
            : [new("active", false), place];
    }
}
