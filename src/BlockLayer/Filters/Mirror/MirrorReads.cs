namespace BlockLayer.Filters;

/// <summary>Which side of a mirror answers reads.</summary>
public enum MirrorReads
{
    /// <summary>The source.</summary>
    Source,

    /// <summary>The destination; the source where the sides may differ.</summary>
    Destination,

    /// <summary>Both, and a difference fails the read with <see cref="Errors.ContentMismatchException"/>; the source alone where the sides may differ.</summary>
    Compare,
}
