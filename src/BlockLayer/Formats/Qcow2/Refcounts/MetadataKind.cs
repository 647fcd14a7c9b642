namespace BlockLayer.Formats.Qcow2;

/// <summary>What a cluster of metadata holds.</summary>
internal enum MetadataKind
{
    /// <summary>The header.</summary>
    Header,

    /// <summary>A part of the active L1 table, or of a snapshot's.</summary>
    L1Table,

    /// <summary>An L2 table.</summary>
    L2Table,

    /// <summary>A part of the refcount table.</summary>
    RefcountTable,

    /// <summary>A refcount block.</summary>
    RefcountBlock,

    /// <summary>A part of the snapshot table.</summary>
    SnapshotTable,

    /// <summary>A part of the LUKS header and its key material.</summary>
    EncryptionHeader,

    /// <summary>A part of the bitmap directory.</summary>
    BitmapDirectory,
}
