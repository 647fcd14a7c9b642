namespace BlockLayer.Images;

/// <summary>What is planned for a backing chain.</summary>
public enum ChainOperation
{
    /// <summary>The image and those below it go into an image further down (<see cref="ImageCommitter"/>).</summary>
    Commit,

    /// <summary>The image gets another backing file (<see cref="ImageRebaser"/>).</summary>
    Rebase,

    /// <summary>The image is filled from those below it (<see cref="Jobs.StreamJob"/>).</summary>
    Pull,
}
