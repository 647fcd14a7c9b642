namespace BlockLayer.Graph;

/// <summary>What an open does about the image locks by which programs of QEMU's family keep out of each other's way.</summary>
public enum ImageLocking
{
    /// <summary>Takes them; an image that somebody writes is not opened.</summary>
    Take,

    /// <summary>
    /// Takes none: for looking at an image that somebody writes. What is read may be torn, so a table may look damaged that is not. Only read-only.
    /// </summary>
    Ignore,
}
