namespace BlockLayer.Storage;

/// <summary>What an open does about existence.</summary>
public enum StorageOpenMode
{
    /// <summary>The file must exist.</summary>
    OpenExisting,

    /// <summary>The file must not exist and is created.</summary>
    CreateNew,

    /// <summary>The file is created, or emptied if it exists (after its locks were taken).</summary>
    CreateOrTruncate,
}
