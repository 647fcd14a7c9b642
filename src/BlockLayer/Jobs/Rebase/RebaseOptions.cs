using BlockLayer.Graph;

namespace BlockLayer.Jobs;

/// <summary>Which backing file an image is to have, and how it gets it.</summary>
public sealed record RebaseOptions : JobOptions
{
    /// <summary>A safe rebase called <c>rebase</c>.</summary>
    public RebaseOptions()
        : base("rebase")
    {
    }

    /// <summary>
    /// The new backing node with its chain, open to be read, which nobody writes meanwhile. The job owns it once it is started, and closes it unless it ends well. Not an
    /// image of the present chain: a pull makes one of those the backing file. Null: the image is to stand alone.
    /// </summary>
    public BlockNode? Backing { get; init; }

    /// <summary>
    /// The name to record for the new backing file. Null: relative to the image's own directory if the name recorded now is relative, else absolute. It has to lead to
    /// the file.
    /// </summary>
    public string? BackingName { get; init; }

    /// <summary>What is done about content that differs.</summary>
    public RebaseMode Mode { get; init; }

    /// <summary>The job starts its next step only while fewer guest requests than this are waiting, but at least one step every 100 ms.</summary>
    public int GuestsFirst { get; init; } = 1;
}
