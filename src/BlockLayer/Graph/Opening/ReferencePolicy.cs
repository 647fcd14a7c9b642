namespace BlockLayer.Graph;

/// <summary>Where files may lie that an image refers to.</summary>
public enum ReferencePolicy
{
    /// <summary>In the directory of the top image and below, or under an allowed root.</summary>
    UnderRoots,

    /// <summary>Nowhere: references are refused.</summary>
    Refuse,

    /// <summary>Anywhere.</summary>
    Anywhere,
}
