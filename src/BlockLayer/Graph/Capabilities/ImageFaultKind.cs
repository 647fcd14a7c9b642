namespace BlockLayer.Graph;

/// <summary>How bad a fault of an image is.</summary>
public enum ImageFaultKind
{
    /// <summary>Data is lost or mixed up, or would be by the next write.</summary>
    Corruption,

    /// <summary>Space is lost, nothing else.</summary>
    Leak,

    /// <summary>A part of the image could not be looked at, so nothing is known of it.</summary>
    NotChecked,
}
