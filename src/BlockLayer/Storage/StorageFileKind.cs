namespace BlockLayer.Storage;

/// <summary>What kind of thing a path leads to.</summary>
public enum StorageFileKind
{
    /// <summary>A regular file.</summary>
    Regular,

    /// <summary>A directory.</summary>
    Directory,

    /// <summary>A block device.</summary>
    BlockDevice,

    /// <summary>A pipe, socket, character device or anything else.</summary>
    Other,
}
