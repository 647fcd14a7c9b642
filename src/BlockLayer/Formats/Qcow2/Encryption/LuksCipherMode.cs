namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// cipher-mode of a LUKS header, taken apart: <c>chaining-iv</c> or <c>chaining-iv:hash</c>, such as <c>cbc-essiv:sha256</c>. Says how it is spelled, not whether
/// anybody implements it.
/// </summary>
/// <param name="Chaining">What a block of a sector has to do with the others, such as <c>xts</c>.</param>
/// <param name="Iv">How a sector's number becomes its IV: <c>plain</c>, <c>plain64</c>, <c>essiv</c>.</param>
/// <param name="IvHash">The hash of <paramref name="Iv"/>; null where none is named. One that is named with a plain IV is used for nothing.</param>
internal sealed record LuksCipherMode(string Chaining, string Iv, string? IvHash)
{
    /// <summary>The IV that needs a hash.</summary>
    internal const string Essiv = "essiv";

    /// <summary>Reads one; null where it is spelled in another way.</summary>
    internal static LuksCipherMode? TryParse(string mode)
    {
        string[] parts = mode.Split('-', 2);
        if (parts.Length < 2 || parts[0].Length == 0)
        {
            return null;
        }

        string[] iv = parts[1].Split(':', 2);
        return new LuksCipherMode(parts[0], iv[0], iv.Length > 1 ? iv[1] : null);
    }

    /// <summary>As a header spells it.</summary>
    public override string ToString() => IvHash is null ? $"{Chaining}-{Iv}" : $"{Chaining}-{Iv}:{IvHash}";
}
