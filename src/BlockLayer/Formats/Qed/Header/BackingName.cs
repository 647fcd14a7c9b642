using System.Text;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qed;

/// <summary>The backing file's name as bytes in the header clusters: what it may be, and where a new one goes.</summary>
internal static class BackingName
{
    private static readonly UTF8Encoding s_strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>The reference that a header with a name means.</summary>
    /// <exception cref="ImageFormatException">InvalidFormat: the bytes are not a name.</exception>
    internal static BackingReference Decode(QedHeader header, ReadOnlySpan<byte> bytes)
    {
        string name;
        try
        {
            name = s_strict.GetString(bytes);
        }
        catch (DecoderFallbackException cause)
        {
            throw Invalid(header, "The backing file name is not UTF-8.", cause);
        }

        if (name.Contains('\0', StringComparison.Ordinal))
        {
            throw Invalid(header, "The backing file name contains a NUL.", cause: null);
        }

        bool raw = (header.Features & QedFeatures.BackingIsRaw) != 0;
        return new BackingReference(name, raw ? "raw" : null) { DecidedByMagic = !raw };
    }

    /// <summary>The bytes to store for a reference, and the feature bits that go with them.</summary>
    /// <exception cref="BlockLayerException">Unsupported: the header cannot say it.</exception>
    internal static (byte[] Bytes, QedFeatures Features) Encode(BackingReference reference)
    {
        byte[] bytes = s_strict.GetBytes(reference.Name);
        if (bytes.Length is 0 or > QedLimits.MaxBackingNameLength || reference.Name.Contains('\0', StringComparison.Ordinal))
        {
            throw new BlockLayerException(
                BlockErrorKind.Unsupported,
                $"The backing file name is {bytes.Length} bytes long; QED takes 1 to {QedLimits.MaxBackingNameLength}, without NUL.");
        }

        // The header has one bit for "raw"; without it a reader goes by the file's magic, which only these two have.
        return reference.Format switch
        {
            "raw" => (bytes, QedFeatures.BackingFile | QedFeatures.BackingIsRaw),
            null or "qcow2" or "qed" => (bytes, QedFeatures.BackingFile),
            _ => throw new BlockLayerException(
                BlockErrorKind.Unsupported,
                $"A QED header cannot say that the backing file's format is {reference.Format}; it knows raw, qcow2 and qed."),
        };
    }

    /// <summary>
    /// Where a name of <paramref name="length"/> bytes can be written while the header fields and the present name stay intact: whole sectors that neither
    /// touches, so that no torn write reaches them. The first such place; null if there is none.
    /// </summary>
    internal static uint? FindRoom(QedHeader header, int length)
    {
        var present = header.HasBacking ? new ByteRange(header.BackingNameOffset, header.BackingNameSize).RoundOut(QedLimits.SectorSize) : default;
        var first = new ByteRange(QedLimits.SectorSize, length);
        if (first.RoundOut(QedLimits.SectorSize).Overlaps(present))
        {
            first = first with { Offset = present.End };
        }

        return first.End <= header.FirstClusterOffset ? (uint)first.Offset : null;
    }

    private static ImageFormatException Invalid(QedHeader header, string message, Exception? cause)
        => new(BlockErrorKind.InvalidFormat, "backing_filename", header.BackingNameOffset, message, cause);
}
