using BlockLayer.Graph;

namespace BlockLayer.Images;

/// <summary>How a file is inspected.</summary>
public sealed record InspectOptions
{
    /// <summary>The format as which the file is going to be opened; null to go by what it shows.</summary>
    public string? Format { get; init; }

    /// <summary>Whether image locks are taken.</summary>
    public ImageLocking Locking { get; init; }

    /// <summary>The world that the file is in.</summary>
    public BlockEnvironment Environment { get; init; } = BlockEnvironment.Default;
}
