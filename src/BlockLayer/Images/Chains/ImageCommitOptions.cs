namespace BlockLayer.Images;

/// <summary>How an image is committed.</summary>
public sealed record ImageCommitOptions
{
    /// <summary>What becomes of the image that was committed.</summary>
    public CommittedImage Committed { get; init; } = CommittedImage.Empty;

    /// <summary>How many pieces are copied at once; null takes what suits the machine.</summary>
    public int? Workers { get; init; }
}
