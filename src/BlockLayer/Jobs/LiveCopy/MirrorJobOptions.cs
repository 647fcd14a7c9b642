namespace BlockLayer.Jobs;

/// <summary>How a disk is copied live.</summary>
public sealed record MirrorJobOptions : LiveCopyOptions
{
    /// <summary>A full copy in the background, called <c>mirror</c>.</summary>
    public MirrorJobOptions()
        : base("mirror")
    {
    }

    /// <summary>What is copied.</summary>
    public MirrorScope Scope { get; init; }

    /// <summary>
    /// The caller knows that all of the target reads as zeroes: zeroes are not copied there. Where the target says so itself, nobody has to know.
    /// </summary>
    public bool TargetIsZero { get; init; }
}
