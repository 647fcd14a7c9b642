namespace BlockLayer.Graph;

/// <summary>How a length is changed.</summary>
public sealed record ResizeOptions
{
    /// <summary>Grow only: a shorter length is refused.</summary>
    public static ResizeOptions GrowOnly { get; } = new();

    /// <summary>Allow the length to shrink, which discards what lies past the new end.</summary>
    public bool AllowShrink { get; init; }

    /// <summary>How much of the room of what is added is taken at once.</summary>
    public Preallocation Preallocation { get; init; }
}
