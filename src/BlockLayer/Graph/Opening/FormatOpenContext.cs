namespace BlockLayer.Graph;

/// <summary>How a format is asked to open an image.</summary>
internal sealed record FormatOpenContext
{
    /// <summary>What the node is to be called.</summary>
    internal required string NodeName { get; init; }

    /// <summary>What opens the image if it is encrypted; null where there is none, and then its tables can be looked at and its data cannot. Not to be kept.</summary>
    internal Passphrase? Passphrase { get; init; }

    /// <summary>Read-only opens never write, whatever state the image is in.</summary>
    internal required NodeAccess Access { get; init; }

    /// <summary>Bytes of mapping tables to keep in memory; null for the format's default.</summary>
    internal long? TableCacheLength { get; init; }

    /// <summary>
    /// Opens, as a raw disk, a second file that the image's header names: the data file of qcow2, the image file of add-cow. This is the opener's door: the
    /// policy decides, and the file is opened and locked as the image's own is. The caller owns the node. Null where no other file is to be opened.
    /// </summary>
    internal Func<string, CancellationToken, ValueTask<BlockNode>>? OpenDataFile { get; init; }

    /// <summary>Whether <see cref="OpenDataFile"/> is to be used by formats that can do without.</summary>
    internal DataFileMode DataFile { get; init; } = DataFileMode.Open;

    /// <summary>
    /// The formats whose magic was looked for and not found, when the format was concluded from that and nothing else; null when it was given or recorded. Whoever
    /// opens the image next the same way must come to the same conclusion.
    /// </summary>
    internal FormatRegistry? RuledOut { get; init; }

    /// <summary>Id or name of the internal snapshot to show instead of the present state; only for reading. Null for the present state.</summary>
    internal string? Snapshot { get; init; }

    /// <summary>What the image is opened for.</summary>
    internal OpenPurpose Purpose { get; init; } = OpenPurpose.Use;

    /// <summary>Whether those above may write: not to an image that is open for a repair, whose node alone writes its file.</summary>
    internal NodeAccess AccessFromAbove => Purpose == OpenPurpose.Repair ? NodeAccess.ReadOnly : Access;

    /// <summary>True when the node may repair the image.</summary>
    internal bool AllowsRepair => this is { Purpose: OpenPurpose.Repair, Access: NodeAccess.ReadWrite };
}
