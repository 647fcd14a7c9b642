using BlockLayer.Graph;

namespace BlockLayer.Jobs;

/// <summary>
/// What a job leaves of the files of its chain. Images that are stored in no file are told by their node's name; lists are newest first.
/// </summary>
public sealed record JobFiles
{
    /// <summary>Nothing is known of any file: the job was never set to work.</summary>
    public static JobFiles None { get; } = new();

    /// <summary>The disk consists of these, whatever else is said of them.</summary>
    public IReadOnlyList<string> Needed { get; init; } = [];

    /// <summary>The disk consisted of these before the job and does not need them any more.</summary>
    public IReadOnlyList<string> Unneeded { get; init; } = [];

    /// <summary>Opened by themselves, these show something else than before, as the job is to bring about: the base of a commit.</summary>
    public IReadOnlyList<string> Changed { get; init; } = [];

    /// <summary>
    /// Opened by themselves, these show a mixture that is of no use, and so does every other overlay of theirs: the images between the top and the base of a commit.
    /// </summary>
    public IReadOnlyList<string> Invalid { get; init; } = [];

    /// <summary>How a file of the lists is called.</summary>
    internal static string NameOf(BlockNode image) => image.Path ?? image.NodeName;

    /// <summary>How files of the lists are called.</summary>
    internal static IReadOnlyList<string> NamesOf(IEnumerable<BlockNode> images) => [.. images.Select(NameOf)];
}
