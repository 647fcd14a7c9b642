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
    /// <summary>Bytes of the digest of one of the hashes that are known.</summary>
    internal static int DigestLength(HashAlgorithmName hash)
        => hash == HashAlgorithmName.SHA1 ? 20 : hash == HashAlgorithmName.SHA256 ? 32 : hash == HashAlgorithmName.SHA384 ? 48 : 64;

    /// <summary>The hash of the passphrase's derivation and of the stripes.</summary>
    internal HashAlgorithmName HashName => TryFindHash(Hash) ?? throw Unsupported("hash-spec", LuksHeader.HashSpecAt, Hash, "sha1, sha256, sha384 and sha512");

    /// <exception cref="ImageFormatException">Unsupported: the framework has no such cipher. InvalidFormat: the key has no length that goes with it.</exception>
    internal void Validate()
    {
        if (Cipher != "aes")
        {
            throw Unsupported("cipher-name", LuksHeader.CipherNameAt, Cipher, "aes");
        }

        bool isXts = UsedMode is "xts-plain64" or "xts-plain";
        if (!isXts && UsedMode is not ("cbc-plain64" or "cbc-plain") && EssivHash is null)
        {
            throw Unsupported("cipher-mode", LuksHeader.CipherModeAt, Mode, "xts-plain64, xts-plain, cbc-plain64, cbc-plain and cbc-essiv:sha256");
        }

        _ = HashName;
        if (!(isXts ? KeyLength is 32 or 48 or 64 : KeyLength is 16 or 24 or 32))
        {
            throw ImageFormatException.Invalid("key-bytes", LuksHeader.KeyBytesAt, $"{KeyLength}", isXts ? "32, 48 or 64 with xts" : "16, 24 or 32 with cbc");
        }
    }

    /// <summary>The cipher under a key of <see cref="KeyLength"/> bytes.</summary>
    internal SectorCipher Create(ReadOnlySpan<byte> key) => UsedMode switch
    {
        "xts-plain64" => new XtsCipher(key[..(KeyLength / 2)], key[(KeyLength / 2)..], SectorIv.Plain64),
        "xts-plain" => new XtsCipher(key[..(KeyLength / 2)], key[(KeyLength / 2)..], SectorIv.Plain32),
        "cbc-plain64" => new CbcCipher(key, SectorIv.Plain64),
        "cbc-plain" => new CbcCipher(key, SectorIv.Plain32),
        _ => new CbcCipher(key, SectorIv.Essiv(key, EssivHash!.Value)),
    };

    // A plain initialization vector is the sector's number. QEMU writes the hash down that it was given with one (xts-plain64:sha256), and uses it for nothing.
    private string UsedMode
        => Mode.IndexOf(':', StringComparison.Ordinal) is > 0 and int end && Mode[..end] is var name
            && (name.EndsWith("-plain64", StringComparison.Ordinal) || name.EndsWith("-plain", StringComparison.Ordinal))
                ? name
                : Mode;

    // AES takes the digest as a key, so only a hash of 32 bytes goes with it.
    private HashAlgorithmName? EssivHash => Mode == "cbc-essiv:sha256" ? HashAlgorithmName.SHA256 : null;

    private static HashAlgorithmName? TryFindHash(string name) => name switch
    {
        "sha1" => HashAlgorithmName.SHA1,
        "sha256" => HashAlgorithmName.SHA256,
        "sha384" => HashAlgorithmName.SHA384,
        "sha512" => HashAlgorithmName.SHA512,
        _ => null,
    };

    private static ImageFormatException Unsupported(string field, int at, string found, string known)
        => ImageFormatException.Unsupported(field, at, $"{field} of the LUKS header is \"{found}\" at byte {at} of it; implemented are {known}.");
}
