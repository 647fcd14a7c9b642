using BlockLayer.Graph;

namespace BlockLayer.Formats.Qcow2;

// The options that start with "encrypt.".
public sealed partial record Qcow2CreateOptions
{
    private static LuksCreateOptions ParseEncryption(LuksCreateOptions options, string name, string value) => name switch
    {
        "encrypt.format" when value == "luks" => options,
        "encrypt.format" => throw new ArgumentException($"encrypt.format is '{value}'; images are created with luks only. The old aes is read and written where it is."),
        "encrypt.iterations" => options with { Iterations = ParseIterations(value) },
        "encrypt.cipher-alg" => options with { KeyBits = int.Parse(ParseWord(name, value, "aes-128", "aes-192", "aes-256").AsSpan(4), System.Globalization.CultureInfo.InvariantCulture) },
        "encrypt.cipher-mode" => options with { Mode = $"{ParseWord(name, value, "xts", "cbc")}-{options.Mode[4..]}" },
        "encrypt.ivgen-alg" => options with { Mode = options.Mode[..4] + (ParseWord(name, value, "plain", "plain64", "essiv") == "essiv" ? "essiv:sha256" : value) },
        "encrypt.hash-alg" => options with { Hash = ParseWord(name, value, "sha1", "sha256", "sha384", "sha512") },
        _ => throw new ArgumentException(
            $"Format qcow2 has no option '{name}'; of those it has encrypt.format, encrypt.iterations, encrypt.cipher-alg, encrypt.cipher-mode, encrypt.ivgen-alg, encrypt.hash-alg."),
    };

    private static int ParseIterations(string value)
        => int.TryParse(value, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out int number)
            ? number
            : throw new ArgumentException($"encrypt.iterations is '{value}', which is no number.");

    private void ThrowIfEncryptionContradictory()
    {
        if (Encryption is not { } encryption)
        {
            return;
        }

        encryption.ThrowIfInvalid();
        if (Passphrase is null)
        {
            throw new ArgumentException("An encrypted image needs a passphrase, which is not one of the options.");
        }

        if (Version == 2)
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
