namespace BlockLayer.Images;

/// <summary>What becomes of the dirty bitmaps that are stored with the source of a copy.</summary>
public enum ConvertBitmaps
{
    /// <summary>They are not copied.</summary>
    None,

    /// <summary>All are copied; with one that cannot be used nothing is.</summary>
    All,

    /// <summary>Those that can be used are copied, and the others left out and told.</summary>
    Usable,
}
