namespace BlockLayer.Graph;

/// <summary>How a format is asked to open an image.</summary>
internal sealed record FormatOpenContext
{
    /// <summary>What the node is to be called.</summary>
    internal required string NodeName { get; init; }

    /// <summary>Read-only opens never write, whatever state the image is in.</summary>
    internal required NodeAccess Access { get; init; }
}
