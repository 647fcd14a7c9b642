using BlockLayer.Filters;
using BlockLayer.Graph;

namespace BlockLayer.Images;

/// <summary>How a <see cref="Disk"/> is opened. The defaults: local files, read-write, the safe policy.</summary>
public sealed record DiskOptions
{
    /// <summary>The format of the top image; null recognises it by its magic. Raw is never recognised and has to be said.</summary>
    public string? Format { get; init; }

    /// <inheritdoc cref="ImageOpenOptions.FormatOptions"/>
    public IReadOnlyDictionary<string, string> FormatOptions { get; init; } = new Dictionary<string, string>();

    /// <summary>Whether the top image can be written; its backing files never can.</summary>
    public NodeAccess Access { get; init; } = NodeAccess.ReadWrite;

    /// <summary>Which other files the image may cause to be opened.</summary>
    public OpenPolicy Policy { get; init; } = OpenPolicy.Default;

    /// <summary>The passphrases of encrypted images of the chain; null for none.</summary>
    public ImageSecrets? Secrets { get; init; }

    /// <summary>
    /// Fill the image from its backing files as it is read; null: do not. Where the image takes no copies, being read-only or of a format without
    /// backing files, reads are as without it.
    /// </summary>
    public CopyOnReadOptions? CopyOnRead { get; init; }

    /// <summary>The formats that are known.</summary>
    public FormatRegistry Formats { get; init; } = BuiltInFormats.All;

    /// <summary>Files, work and time; a simulation supplies its own.</summary>
    public BlockEnvironment Environment { get; init; } = BlockEnvironment.Default;

    /// <summary>The same for whoever opens a node.</summary>
    internal ImageOpenOptions ToOpenOptions() => new()
    {
        Format = Format,
        FormatOptions = FormatOptions,
        Access = Access,
        Policy = Policy,
        Secrets = Secrets,
    };
}
