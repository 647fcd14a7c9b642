using BlockLayer.Graph;
using BlockLayer.Requests;

namespace BlockLayer.Jobs;

/// <summary>How an image is filled from its backing chain.</summary>
public sealed record StreamOptions : JobOptions
{
    /// <summary>A pull of the whole chain, called <c>stream</c>.</summary>
    public StreamOptions()
        : base("stream")
    {
    }

    /// <summary>The image to fill; null (and no <see cref="TopName"/>): the disk's newest. One below it is open for writing for the time of the job.</summary>
    public BlockNode? Top { get; init; }

    /// <summary>The image to fill by the name of its file, instead of <see cref="Top"/>.</summary>
    public string? TopName { get; init; }

    /// <summary>The first image that is not copied, and the image's backing node afterwards; null (and no <see cref="BaseName"/>): all is copied and no backing file is left.</summary>
    public BlockNode? Base { get; init; }

    /// <summary>The base by the name of its file, instead of <see cref="Base"/>.</summary>
    public string? BaseName { get; init; }

    /// <summary>
    /// The last image that is copied, instead of the base: whatever stands below it in the end is left. Where that is nothing, all is copied and no backing file is left.
    /// </summary>
    public BlockNode? Bottom { get; init; }

    /// <summary>
    /// The name to record for the base. Null: relative to the image's own directory if the name recorded now is relative, else absolute. It has to lead to
    /// the base's file, so there has to be a base.
    /// </summary>
    public string? BackingName { get; init; }

    /// <summary>
    /// Null: the job runs until nothing is lacking. Otherwise it is one increment from this guest offset in bytes, rounded down to a copy unit: it passes over what needs no data, copies the
    /// first unit that does, and ends; <see cref="StreamJob.Cursor"/> tells where the next one continues. Any number from 0 to the disk's length is right, also one that is out of date.
    /// </summary>
    public long? Cursor { get; init; }

    /// <summary>How guests and copies make way for each other.</summary>
    public CopyStrategy Strategy { get; init; } = CopyStrategy.Cancel;

    /// <summary>Bytes that copies in flight may hold.</summary>
    public long MemoryLimit { get; init; } = 16 * 1024 * 1024;

    /// <summary>The job starts its next step only while fewer guest requests than this are waiting, but at least one step every 100 ms.</summary>
    public int GuestsFirst { get; init; } = 1;
}
