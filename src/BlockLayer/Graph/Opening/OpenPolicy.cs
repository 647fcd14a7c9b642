namespace BlockLayer.Graph;

/// <summary>
/// Which other files an image may cause to be opened. Names inside images are written by whoever made the image: without a policy, opening an upload
/// is letting a stranger choose a file to read, and, if it is then copied, how much room the copy takes.
/// </summary>
public sealed record OpenPolicy
{
    /// <summary>
    /// Backing files in the directory of the top image and below, and under <see cref="AllowedRoots"/>; the format must be recorded.
    /// </summary>
    public static OpenPolicy Default { get; } = new() { Name = "Default" };

    /// <summary>
    /// Nothing but the named file itself: an image that records a backing file is refused, unless it is opened without (<see cref="BackingMode.Ignore"/>). Add a
    /// <see cref="MaxLength"/> where the disk is copied: a file of a few KiB can be a disk of terabytes that are not zeroes.
    /// </summary>
    public static OpenPolicy Untrusted { get; } = new() { Name = "Untrusted", References = ReferencePolicy.Refuse };

    /// <summary>
    /// What qemu-img does with files: any path, also as <c>file:</c>, and formats guessed where they are not recorded, raw included. Other protocols are
    /// refused all the same. For images you made yourself.
    /// </summary>
    public static OpenPolicy QemuCompatible { get; } = new()
    {
        Name = "QemuCompatible",
        References = ReferencePolicy.Anywhere,
        Probing = ProbingPolicy.MagicOrRaw,
    };

    /// <summary>The name shown in refusals.</summary>
    public required string Name { get; init; }

    /// <summary>Where referenced files may lie.</summary>
    public ReferencePolicy References { get; init; } = ReferencePolicy.UnderRoots;

    /// <summary>Directories, besides the top image's, that referenced files may lie in. Links are resolved before the comparison.</summary>
    public IReadOnlyList<string> AllowedRoots { get; init; } = [];

    /// <summary>What to do where a format is not given.</summary>
    public ProbingPolicy Probing { get; init; } = ProbingPolicy.TopByMagic;

    /// <summary>The longest chain that is opened, in images.</summary>
    public int MaxChainLength { get; init; } = 256;

    /// <summary>The longest disk that is opened, in bytes as its guest sees them; null sets no limit. It is the top image that counts: what is below it shows no further.</summary>
    public long? MaxLength { get; init; }
}
