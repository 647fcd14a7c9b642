using System.Text;
using BlockLayer.Errors;

namespace BlockLayer.Formats.CowOverlay;

/// <summary>File names as the header area holds them: UTF-8, without a terminator.</summary>
internal static class FileName
{
    private static readonly UTF8Encoding s_strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <exception cref="ImageFormatException">InvalidFormat: it is no UTF-8, or holds a NUL.</exception>
    internal static string Decode(string field, long at, ReadOnlySpan<byte> bytes)
    {
        try
        {
            string name = s_strict.GetString(bytes);
            return name.Contains('\0', StringComparison.Ordinal)
                ? throw new ImageFormatException(BlockErrorKind.InvalidFormat, field, at, $"{field} at byte {at} holds a NUL, which no file name has.")
                : name;
        }
        catch (DecoderFallbackException cause)
        {
            throw new ImageFormatException(BlockErrorKind.InvalidFormat, field, at, $"{field} at byte {at} is not UTF-8.", cause);
        }
    }

    /// <exception cref="BlockLayerException">Unsupported: the header cannot hold it.</exception>
    internal static byte[] Encode(string what, string name)
    {
        byte[] bytes = s_strict.GetBytes(name);
        return bytes.Length is 0 or > CowOverlayLimits.MaxNameLength || name.Contains('\0', StringComparison.Ordinal)
            ? throw new BlockLayerException(
                BlockErrorKind.Unsupported,
                $"The name of the {what} is {bytes.Length} bytes long; add-cow images are written with 1 to {CowOverlayLimits.MaxNameLength}, without NUL.")
            : bytes;
    }

    /// <summary>A format's name as its field of 16 bytes takes it.</summary>
    /// <exception cref="BlockLayerException">Unsupported: it is too long.</exception>
    internal static string EncodeFormat(string? format)
        => format is null ? ""
            : format.Length <= 15 && Ascii.IsValid(format) ? format
            : throw new BlockLayerException(BlockErrorKind.Unsupported, $"The format '{format}' does not fit an add-cow header, which takes 15 ASCII characters.");
}
