namespace BlockLayer.Graph;

/// <summary>A dirty bitmap that is stored with an image.</summary>
/// <param name="Name">What it is called.</param>
/// <param name="Granularity">Bytes of the disk that a bit stands for.</param>
public sealed record ImageBitmap(string Name, long Granularity)
{
    /// <summary>True when writes are marked in it, by every program that writes the image.</summary>
    public bool IsEnabled { get; init; }

    /// <summary>True while a program has it in use: the stored bits lack what that program has in memory. QEMU's flag <c>in-use</c>.</summary>
    public bool IsInUse { get; init; }

    /// <summary>Why its bits cannot be used; null when they can. Such a bitmap can be removed, and nothing else.</summary>
    public string? Problem { get; init; }
}
