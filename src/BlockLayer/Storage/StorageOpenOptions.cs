namespace BlockLayer.Storage;

/// <summary>How a file is opened.</summary>
public sealed record StorageOpenOptions
{
    /// <summary>Open for writing; else every write is refused.</summary>
    public bool Writable { get; init; }

    /// <summary>Whether the file must exist, must not, or is replaced.</summary>
    public StorageOpenMode Mode { get; init; } = StorageOpenMode.OpenExisting;

    /// <summary>The image locks to take; null takes none.</summary>
    public ImageLock? Lock { get; init; }

    /// <summary>Refuse anything but a regular file or block device, decided on the opened handle (no hanging on a pipe).</summary>
    public bool RegularOnly { get; init; } = true;
}
