using BlockLayer.Graph;

namespace BlockLayer.Jobs;

/// <summary>Which images are committed into which, and how.</summary>
/// <remarks>
/// Of the <see cref="JobErrorPolicy"/>, <see cref="JobErrorPolicy.Ignore"/> tries the same place again after a tenth of a second, as often as it takes: a base
/// that lacks something cannot take the place of the images above it.
/// </remarks>
public sealed record CommitOptions : JobOptions
{
    /// <summary>A commit called <c>commit</c>.</summary>
    public CommitOptions()
        : base("commit")
    {
    }

    /// <summary>The newest image that is committed. It lies below the disk's newest image.</summary>
    public BlockNode? Top { get; init; }

    /// <summary>The top by the name of its file, instead of <see cref="Top"/>.</summary>
    public string? TopName { get; init; }

    /// <summary>The image that all down from the top is written into; null (and no <see cref="BaseName"/>): the lowest of the chain.</summary>
    public BlockNode? Base { get; init; }

    /// <summary>The base by the name of its file, instead of <see cref="Base"/>.</summary>
    public string? BaseName { get; init; }

    /// <summary>
    /// The name to record for the base in the image above the top. Null: relative to that image's own directory if the name recorded now is relative, else absolute.
    /// It has to lead to the base's file.
    /// </summary>
    public string? BackingName { get; init; }

    /// <summary>The job starts its next step only while fewer guest requests than this are waiting, but at least one step every 100 ms.</summary>
    public int GuestsFirst { get; init; } = 1;
}
