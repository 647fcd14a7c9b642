namespace BlockLayer.Libvirt;

/// <summary>What became of a snapshot's files when it was removed.</summary>
internal enum SnapshotMerge
{
    /// <summary>Nothing: only the record is gone.</summary>
    Untouched,

    /// <summary>Each disk's two files are one now, by its merge direction.</summary>
    Merged,
}
