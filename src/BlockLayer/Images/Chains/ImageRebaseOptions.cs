namespace BlockLayer.Images;

/// <summary>How an image gets another backing file.</summary>
public sealed record ImageRebaseOptions
{
    /// <summary>
    /// The name to record. Null: relative to the image's own directory if the name recorded now is relative, else absolute. It has to lead to the new backing
    /// file as it is open.
    /// </summary>
    public string? BackingName { get; init; }

    /// <summary>How many pieces are compared at once; null takes what suits the machine.</summary>
    public int? Workers { get; init; }
}
