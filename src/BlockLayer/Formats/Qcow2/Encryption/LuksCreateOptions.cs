namespace BlockLayer.Formats.Qcow2;

/// <summary>How a new image is encrypted: LUKS version 1. The defaults are QEMU's, but for the iterations, which QEMU measures a clock for.</summary>
public sealed record LuksCreateOptions
{
    /// <summary>Rounds of PBKDF2 from the passphrase to the key: what guessing costs, and opening too. At least 1000.</summary>
    public int Iterations { get; init; } = 1_000_000;

    /// <summary>Bits of the AES key: 128, 192 or 256.</summary>
    public int KeyBits { get; init; } = 256;

    /// <summary>xts-plain64, xts-plain, cbc-plain64, cbc-plain or cbc-essiv:sha256.</summary>
    public string Mode { get; init; } = "xts-plain64";

    /// <summary>The hash that the passphrase goes through: sha1, sha256, sha384 or sha512.</summary>
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
