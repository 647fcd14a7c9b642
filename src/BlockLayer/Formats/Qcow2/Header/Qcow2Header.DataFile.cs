using System.Text;
using BlockLayer.Errors;

namespace BlockLayer.Formats.Qcow2;

// The external data file: a bit that says there is one, an extension that names it, and a bit that says it is a raw disk by itself.
internal sealed partial record Qcow2Header
{
    /// <summary>
    /// True when the external data file has to stay readable as a raw disk. qcow2 spec, "backing_file_offset": raw data files and backing files exclude each other,
    /// so beside a backing file, and where data is encrypted, the bit is a promise that nobody can keep, and is cleared like a bit that is not known.
    /// </summary>
    public bool HasRawDataFile
        => HasFeature(IncompatibleFeatures.ExternalDataFile) && (Autoclear & AutoclearFeatures.RawExternalData) != 0 && !HasBackingFile && Encryption == EncryptionMethod.None;

    /// <summary>The name of the data file that has to be opened to reach the guest's data.</summary>
    /// <exception cref="ImageFormatException">InvalidFormat: the image does not say it.</exception>
    public string RequireDataFileName() => DataFileName is { Length: > 0 } name ? name : throw new ImageFormatException(
        BlockErrorKind.InvalidFormat,
        "external data file name",
        IncompatibleFeaturesAt,
        $"incompatible_features at byte {IncompatibleFeaturesAt} has the bit \"External data file\", and no header extension names that file.");

    /// <summary>This header with an extension that names the data file, in front of the others. For new images.</summary>
    /// <exception cref="ImageFormatException">InvalidFormat: the name does not fit into the first cluster.</exception>
    public Qcow2Header WithNewDataFileName(string name)
    {
        Qcow2Header named = this with { Extensions = Extensions.With(HeaderExtension.Create(HeaderExtensionType.DataFileName, name)) };
        return named.AreaLength <= ClusterSize ? named : throw ImageFormatException.OutOfRange(
            "length of the external data file name", HeaderLength, Encoding.UTF8.GetByteCount(name), 1, ClusterSize - AreaLength - HeaderExtension.PrefixLength);
    }

    private void ValidateDataFile()
    {
        if ((Autoclear & AutoclearFeatures.RawExternalData) != 0 && !HasFeature(IncompatibleFeatures.ExternalDataFile))
        {
            // As QEMU; the specification says that the bit "may only be set" together with the other.
            throw ImageFormatException.Invalid(
                "autoclear_features", AutoclearFeaturesAt, "set to \"Raw external data\"", "that bit only beside the bit \"External data file\" of incompatible_features");
        }

        if (Extensions.Find(HeaderExtensionType.DataFileName) is not { } extension)
        {
            return;
        }

        if (extension.Data.Span.Contains((byte)0))
        {
            throw ImageFormatException.Invalid("external data file name", HeaderLength, "text with a zero byte", "text without one");
        }

        try
        {
            s_strictUtf8.GetCharCount(extension.Data.Span);
        }
        catch (DecoderFallbackException cause)
        {
            throw new ImageFormatException(BlockErrorKind.InvalidFormat, "external data file name", HeaderLength, "external data file name is not valid UTF-8.", cause);
        }
    }
}
