namespace BlockLayer.Graph;

/// <summary>What to do where a format is neither given by the caller nor recorded in an image.</summary>
public enum ProbingPolicy
{
    /// <summary>The file named by the caller may be recognised by its magic; a backing file's format must be recorded.</summary>
    TopByMagic,

    /// <summary>Backing files may be recognised by their magic too.</summary>
    AllByMagic,

    /// <summary>As before, and what has no magic is raw. A guest that writes a magic into its raw disk then changes the format: only for images you trust.</summary>
    MagicOrRaw,

    /// <summary>
    /// Nothing is recognised: every format must be given or recorded. The one exception is an image whose format leaves it to the magic of the backing file,
    /// and then only between formats that have one (<see cref="BackingReference.DecidedByMagic"/>).
    /// </summary>
    Never,
}
