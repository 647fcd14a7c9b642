namespace BlockLayer.Graph;

/// <summary>How an image is opened. The defaults are the safe ones.</summary>
public sealed record ImageOpenOptions
{
    /// <summary>The format of the image; null lets the policy decide about recognising it.</summary>
    public string? Format { get; init; }

    /// <summary>
    /// Options of the top image's format in QEMU's spelling. Raw has <c>offset</c> and <c>size</c>: the disk is this part of the file, with size a multiple of 512
    /// bytes and by default all up to the end.
    /// </summary>
    public IReadOnlyDictionary<string, string> FormatOptions { get; init; } = new Dictionary<string, string>();

    /// <summary>Whether the top image can be written. Its backing files are opened to be read; where the top can be written, jobs write them when that is their work.</summary>
    public NodeAccess Access { get; init; } = NodeAccess.ReadOnly;

    /// <summary>Id, or else name, of an internal snapshot that the top image shows instead of its present state; only for reading. Null for the present state.</summary>
    public string? Snapshot { get; init; }

    /// <summary>Which other files may be opened.</summary>
    public OpenPolicy Policy { get; init; } = OpenPolicy.Default;

    /// <summary>Whether image locks are taken.</summary>
    public ImageLocking Locking { get; init; }

    /// <summary>What the top image is opened for.</summary>
    public OpenPurpose Purpose { get; init; } = OpenPurpose.Use;

    /// <summary>Whether the backing chain is opened.</summary>
    public BackingMode Backing { get; init; } = BackingMode.Open;

    /// <summary>
    /// The passphrases of encrypted images; null for none. An encrypted image that has none is opened all the same, tells what its tables say, and refuses requests
    /// for the guest's data.
    /// </summary>
    public ImageSecrets? Secrets { get; init; }

    /// <summary>Whether second files that hold an image's data are opened.</summary>
    public DataFileMode DataFile { get; init; } = DataFileMode.Open;

    /// <summary>
    /// Bytes of mapping tables that each image of the chain keeps in memory (QEMU's <c>l2-cache-size</c>); null for 32 MiB. Random requests want the tables of what
    /// they touch, an eighth of a per mille of it with clusters of 64 KiB; one pass from start to end needs next to nothing.
    /// </summary>
    public long? TableCacheLength { get; init; }
}
