namespace BlockLayer.Storage;

/// <summary>What somebody does with a node or an image file. The bit numbers are part of the on-disk lock protocol.</summary>
[Flags]
public enum ImagePermissions
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>Reads that mean something.</summary>
    ConsistentRead = 1,

    /// <summary>Writes that change what is read.</summary>
    Write = 2,

    /// <summary>Writes that store what would be read anyway, as a copy from the backing file does.</summary>
    WriteUnchanged = 4,

    /// <summary>Changes of length.</summary>
    Resize = 8,

    /// <summary>All of them.</summary>
    All = 15,
}
