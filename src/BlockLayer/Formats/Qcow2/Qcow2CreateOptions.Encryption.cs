using BlockLayer.Graph;

namespace BlockLayer.Formats.Qcow2;

// The options that start with "encrypt.".
public sealed partial record Qcow2CreateOptions
{
    private Qcow2CreateOptions WithEncryptionFormat(string name, string value)
        => ParseWord(name, value, "luks", "aes") == "aes" ? this with { LegacyAes = true } : this with { Encryption = Encryption ?? new LuksCreateOptions() };

    private static LuksCreateOptions ParseEncryption(LuksCreateOptions options, string name, string value) => name switch
    {
        "encrypt.iterations" => options with { Iterations = ParseIterations(value) },
        "encrypt.cipher-alg" => options with { KeyBits = int.Parse(ParseWord(name, value, "aes-128", "aes-192", "aes-256").AsSpan(4), System.Globalization.CultureInfo.InvariantCulture) },
        "encrypt.cipher-mode" => options with { Mode = WithMode(options, mode => mode with { Chaining = ParseWord(name, value, "xts", "cbc", "ctr", "ecb") }) },
        "encrypt.ivgen-alg" => options with { Mode = WithMode(options, mode => mode with { Iv = ParseWord(name, value, "plain", "plain64", LuksCipherMode.Essiv) }) },
        "encrypt.ivgen-hash-alg" => options with { Mode = WithMode(options, mode => mode with { IvHash = ParseWord(name, value, "md5", "sha1", "sha256", "sha384", "sha512") }) },
        "encrypt.hash-alg" => options with { Hash = ParseWord(name, value, "md5", "sha1", "sha256", "sha384", "sha512") },
        _ => throw new ArgumentException(
            $"Format qcow2 has no option '{name}'; of those it has encrypt.format, encrypt.iterations, encrypt.cipher-alg, encrypt.cipher-mode, encrypt.ivgen-alg, encrypt.ivgen-hash-alg, encrypt.hash-alg."),
    };

    // One option after another; essiv has sha256 where none says otherwise, as QEMU does.
    private static string WithMode(LuksCreateOptions options, Func<LuksCipherMode, LuksCipherMode> change)
    {
        LuksCipherMode mode = change(LuksCipherMode.TryParse(options.Mode)!);
        return (mode is { Iv: LuksCipherMode.Essiv, IvHash: null } ? mode with { IvHash = "sha256" } : mode).ToString();
    }


    private static int ParseIterations(string value)
        => int.TryParse(value, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out int number)
            ? number
            : throw new ArgumentException($"encrypt.iterations is '{value}', which is no number.");

    private void ThrowIfEncryptionContradictory()
    {
        if (Encryption is null && !LegacyAes)
        {
            return;
        }

        if (Encryption is not null && LegacyAes)
        {
            throw new ArgumentException("encrypt.format=aes (encryption=on) has no other encrypt option: those are for encrypt.format=luks.");
        }

        Encryption?.ThrowIfInvalid();
        if (Passphrase is null)
        {
            throw new ArgumentException("An encrypted image needs a passphrase, which is not one of the options.");
        }

        if (Version == 2 && !LegacyAes)
        {
            throw new ArgumentException("LUKS needs compat=1.1.");
        }

        if (DataFileLayout == DataFileLayout.Raw || Preallocation != Preallocation.Off)
        {
            throw new ArgumentException("Encryption goes neither with data_file_raw=on nor with preallocation: what nobody wrote would be decrypted into noise.");
        }

        if (Length % SectorCipher.SectorSize != 0)
        {
            throw new ArgumentException($"The size of an encrypted disk is a multiple of {SectorCipher.SectorSize}; {Length} is not.");
        }
    }
}
