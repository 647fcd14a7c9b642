namespace BlockLayer.Images;

/// <summary>What is planned for a backing chain.</summary>
public enum ChainOperation
{
    /// <summary>The image and those below it go into an image further down (<see cref="ImageCommitter"/>, <see cref="Jobs.CommitJob"/>, <see cref="Jobs.ActiveCommitJob"/>).</summary>
    Commit,

    /// <summary>The image gets another backing file (<see cref="ImageRebaser"/>, <see cref="Jobs.RebaseJob"/>).</summary>
    Rebase,

    /// <summary>The image is filled from those below it (<see cref="Jobs.StreamJob"/>).</summary>
    Pull,
}
