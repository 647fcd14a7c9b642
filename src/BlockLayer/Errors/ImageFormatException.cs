namespace BlockLayer.Errors;

/// <summary>
/// A field of an image holds a value that the format does not allow (<see cref="BlockErrorKind.InvalidFormat"/>), that contradicts the rest of the
/// image (<see cref="BlockErrorKind.Corrupt"/>) or that asks for a feature not implemented here (<see cref="BlockErrorKind.Unsupported"/>).
/// </summary>
public sealed class ImageFormatException : BlockLayerException
{
    /// <summary>Makes an error about one field.</summary>
    public ImageFormatException(BlockErrorKind kind, string field, long? at, string message, Exception? cause = null)
        : base(kind, message, cause)
    {
        Field = field;
        Offset = at;
    }

    /// <summary>The field as the format's specification spells it.</summary>
    public string Field { get; }

    /// <summary>What was found, as text; null where the message says all.</summary>
    public string? Found { get; init; }

    /// <summary>What the format allows, as text; null where the message says all.</summary>
    public string? Expected { get; init; }

    /// <summary>A number outside its allowed range (both ends inclusive).</summary>
    public static ImageFormatException OutOfRange(string field, long at, long found, long minimum, long maximum)
        => new(BlockErrorKind.InvalidFormat, field, at, $"{field} is {found} at byte {at}; allowed is {minimum} to {maximum}.")
        {
            Found = $"{found}",
            Expected = $"{minimum} to {maximum}",
        };

    /// <summary>A value that is not one of the allowed ones. <paramref name="expected"/> completes the phrase "expected is ...".</summary>
    public static ImageFormatException Invalid(string field, long at, string found, string expected)
        => new(BlockErrorKind.InvalidFormat, field, at, $"{field} is {found} at byte {at}; expected is {expected}.")
        {
            Found = found,
            Expected = expected,
        };

    /// <summary>A structure that contradicts the rest of the image.</summary>
    public static ImageFormatException Corrupt(string field, long at, string message)
        => new(BlockErrorKind.Corrupt, field, at, message);

    /// <summary>A valid feature that this library does not implement; <paramref name="feature"/> is its name in the specification.</summary>
    public static ImageFormatException Unsupported(string feature, long at, string message)
        => new(BlockErrorKind.Unsupported, feature, at, message);

    internal override BlockLayerException WithPath(string path)
        => new ImageFormatException(Kind, Field, Offset, Message, InnerException) { NodeName = NodeName, Path = path, Found = Found, Expected = Expected };
}
