using BlockLayer.Graph;

namespace BlockLayer.Jobs;

/// <summary>How a disk's newest images are committed into an older one.</summary>
public sealed record ActiveCommitOptions : LiveCopyOptions
{
    /// <summary>A commit called <c>commit</c>.</summary>
    public ActiveCommitOptions()
        : base("commit")
    {
    }

    /// <summary>The image that all above is written into; null (and no <see cref="BaseName"/>): the lowest of the chain.</summary>
    public BlockNode? Base { get; init; }

    /// <summary>The base by the name of its file, instead of <see cref="Base"/>.</summary>
    public string? BaseName { get; init; }
}
