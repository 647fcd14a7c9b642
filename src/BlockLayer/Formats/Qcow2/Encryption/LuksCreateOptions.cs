namespace BlockLayer.Formats.Qcow2;

/// <summary>How a new image is encrypted: LUKS version 1. The defaults are QEMU's, but for the iterations, which QEMU measures a clock for.</summary>
public sealed record LuksCreateOptions
{
    /// <summary>Rounds of PBKDF2 from the passphrase to the key: what guessing costs, and opening too. At least 1000.</summary>
    public int Iterations { get; init; } = 1_000_000;

    /// <summary>Bits of the AES key: 128, 192 or 256. 192 with xts only.</summary>
    public int KeyBits { get; init; } = 256;

    /// <summary>
    /// xts, cbc, ctr or ecb, each with plain64, plain, essiv:sha256 or essiv:md5, as in <c>xts-plain64</c>. ctr and ecb show much of what they should hide; they are
    /// for who has to have them.
    /// </summary>
    public string Mode { get; init; } = "xts-plain64";

    /// <summary>The hash that the passphrase goes through: md5, sha1, sha256, sha384 or sha512.</summary>
    public string Hash { get; init; } = "sha256";

    /// <summary>The same in the words of the header.</summary>
    internal LuksCipherName Cipher => new("aes", Mode, Hash, KeyBits / 8 * (Mode.StartsWith("xts", StringComparison.Ordinal) ? 2 : 1));

    /// <exception cref="ArgumentException">A value that is not taken.</exception>
    internal void ThrowIfInvalid()
    {
        if (Iterations < 1000 || Iterations > LuksHeader.MaxIterations / 2)
        {
            throw new ArgumentException($"encrypt.iterations is {Iterations}; it can be 1000 to {LuksHeader.MaxIterations / 2}.");
        }

        if (KeyBits % 128 == 64 && !Mode.StartsWith("xts", StringComparison.Ordinal))
        {
            // QEMU reads and writes key material in whole sectors, and stops with a failed assertion at these 187.5.
            throw new ArgumentException("encrypt.cipher-alg is aes-192, which goes with encrypt.cipher-mode=xts only: QEMU cannot open any other such image.");
        }

        try
        {
            Cipher.Validate();
        }
        catch (Errors.ImageFormatException unknown)
        {
            throw new ArgumentException(unknown.Message, unknown);
        }
    }
}
