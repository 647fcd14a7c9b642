using BlockLayer.Errors;

namespace BlockLayer.Images;

/// <summary>
/// What an operation on a backing chain is going to do, told before: what it copies, which files show something else afterwards, and which images outside the chain that
/// destroys. The operation itself does just that, if nobody changes the chain meanwhile and no guest writes.
/// </summary>
/// <remarks>
/// Of a job that is made ready and then ended by its user, it is what changing the disk over does: <see cref="Jobs.JobFiles"/> of the completed job has the same files.
/// </remarks>
public sealed record ChainPlan
{
    /// <summary>What is planned.</summary>
    public required ChainOperation Operation { get; init; }

    /// <summary>The file of the image it is about.</summary>
    public required string Image { get; init; }

    /// <summary>The file it is committed into, pulled down to or based on; null for none.</summary>
    public required string? Base { get; init; }

    /// <summary>Bytes of the virtual disk that are copied as data.</summary>
    public required long DataBytes { get; init; }

    /// <summary>Bytes of the virtual disk that are copied as zeroes, which take no room.</summary>
    public required long ZeroBytes { get; init; }

    /// <summary>Bytes by which the base grows.</summary>
    public long GrownBytes { get; init; }

    /// <summary>The image is emptied in the end.</summary>
    public bool EmptiesImage { get; init; }

    /// <summary>Files whose disk is changed on purpose: the base of a commit, which shows what the image shows.</summary>
    public IReadOnlyList<string> Changed { get; init; } = [];

    /// <summary>Files of the chain that no longer show what they did, and are of no more use by themselves: those between the image and the base of a commit, newest first.</summary>
    public IReadOnlyList<string> Invalid { get; init; } = [];

    /// <summary>Files that the disk does not need any more, newest first. They still show what they did.</summary>
    public IReadOnlyList<string> Unneeded { get; init; } = [];

    /// <summary>Images outside the chain, in the directories that were searched, that are destroyed because they read through a changed or an invalid file.</summary>
    public IReadOnlyList<AffectedImage> Destroyed { get; init; } = [];

    /// <summary>
    /// Images outside the chain, in those directories, that go on showing what they do as long as files that the disk does not need are not deleted; each with each of those files that it needs.
    /// </summary>
    public IReadOnlyList<AffectedImage> Dependent { get; init; } = [];

    /// <summary>Files in those directories of which neither can be told.</summary>
    public IReadOnlyList<UnjudgedFile> Unjudged { get; init; } = [];

    /// <summary>Bytes of the virtual disk that are copied.</summary>
    public long CopiedBytes => DataBytes + ZeroBytes;

    /// <summary>Refuses a plan that destroys images outside the chain.</summary>
    /// <exception cref="BlockLayerException">Conflict; the message names them.</exception>
    public void ThrowIfDestructive()
    {
        if (Destroyed.Count > 0)
        {
            string images = string.Join(", ", Destroyed.Select(static image => $"'{image.Path}' (through '{image.Through}')"));
            throw new BlockLayerException(
                BlockErrorKind.Conflict,
                $"It would destroy {(Destroyed.Count == 1 ? "an image" : $"{Destroyed.Count} images")} outside the chain: {images}.") { Path = Image };
        }
    }
}
