namespace BlockLayer.Formats.Qcow2;

/// <summary>Which references are counted.</summary>
internal enum CountedReferences
{
    /// <summary>All that QEMU counts: it follows entries that lead inside a cluster too, and judges what is there.</summary>
    All,

    /// <summary>Those that a reader follows. Whatever else an entry says leads nowhere, and must not make others look as if they shared a cluster.</summary>
    Followable,
}
