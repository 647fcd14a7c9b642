using System.Security.Cryptography;
using BlockLayer.Errors;

namespace BlockLayer.Formats.Qcow2;

/// <summary>What a LUKS header says of its cipher, in the words of the specification: name, mode and hash, and the length of the key.</summary>
/// <param name="Cipher">cipher-name.</param>
/// <param name="Mode">cipher-mode, such as <c>xts-plain64</c>.</param>
/// <param name="Hash">hash-spec.</param>
/// <param name="KeyLength">key-bytes.</param>
internal sealed record LuksCipherName(string Cipher, string Mode, string Hash, int KeyLength)
{
    private const string Xts = "xts";

    /// <summary>The hash of the passphrase's derivation and of the stripes.</summary>
    internal HashAlgorithmName HashName => LuksHash.TryFind(Hash) ?? throw Unsupported("hash-spec", LuksHeader.HashSpecAt, Hash, LuksHash.Known);

    /// <summary><see cref="Mode"/> taken apart; null where it is not spelled as QEMU does.</summary>
    internal LuksCipherMode? ParsedMode => LuksCipherMode.TryParse(Mode);

    /// <summary>Bits of the cipher's key. xts has two keys in one.</summary>
    internal long CipherKeyBits => KeyLength * 8L / (ParsedMode?.Chaining == Xts ? 2 : 1);

    /// <exception cref="ImageFormatException">Unsupported: the framework has no such cipher. InvalidFormat: the key has no length that goes with it.</exception>
    internal void Validate()
    {
        if (Cipher != "aes")
        {
            throw Unsupported("cipher-name", LuksHeader.CipherNameAt, Cipher, "aes");
        }

        LuksCipherMode mode = RequireMode();
        _ = HashName;
        bool isXts = mode.Chaining == Xts;
        if (!(isXts ? KeyLength is 32 or 48 or 64 : KeyLength is 16 or 24 or 32))
        {
            throw ImageFormatException.Invalid("key-bytes", LuksHeader.KeyBytesAt, $"{KeyLength}", isXts ? "32, 48 or 64 with xts" : $"16, 24 or 32 with {mode.Chaining}");
        }
    }

    /// <summary>The cipher under a key of <see cref="KeyLength"/> bytes.</summary>
    internal SectorCipher Create(ReadOnlySpan<byte> key)
    {
        LuksCipherMode mode = RequireMode();
        if (mode.Chaining == "ecb")
        {
            return new EcbCipher(key);
        }

        SectorIv iv = mode.Iv switch
        {
            "plain64" => SectorIv.Plain64,
            "plain" => SectorIv.Plain32,
            _ => SectorIv.Essiv(key, LuksHash.TryFind(mode.IvHash!)!.Value),
        };
        return mode.Chaining switch
        {
            Xts => new XtsCipher(key[..(KeyLength / 2)], key[(KeyLength / 2)..], iv),
            "ctr" => new CtrCipher(key, iv),
            _ => new CbcCipher(key, iv),
        };
    }

    private LuksCipherMode RequireMode()
        => ParsedMode is { Chaining: Xts or "cbc" or "ctr" or "ecb" } mode && (mode.Iv is "plain64" or "plain" || HasEssivKey(mode))
            ? mode
            : throw Unsupported("cipher-mode", LuksHeader.CipherModeAt, Mode, "xts, cbc, ctr and ecb, each with plain64, plain, essiv:sha256 or essiv:md5");

    // AES takes the digest as a key, so only hashes of 16, 24 or 32 bytes go with it; QEMU says so too.
    private static bool HasEssivKey(LuksCipherMode mode) => mode is { Iv: LuksCipherMode.Essiv, IvHash: "sha256" or "md5" };

    private static ImageFormatException Unsupported(string field, int at, string found, string known)
        => ImageFormatException.Unsupported(field, at, $"{field} of the LUKS header is \"{found}\" at byte {at} of it; implemented are {known}.");
}
