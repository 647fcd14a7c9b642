namespace BlockLayer.Images;

/// <summary>What becomes of an image whose content was committed into one below it.</summary>
public enum CommittedImage
{
    /// <summary>
    /// It is emptied, if it was committed into its own backing file. Over images in between it is kept: without its content theirs would show.
    /// </summary>
    Empty,

    /// <summary>It keeps what it holds.</summary>
    Keep,
}
