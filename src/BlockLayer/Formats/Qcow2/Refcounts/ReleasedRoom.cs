namespace BlockLayer.Formats.Qcow2;

/// <summary>What becomes of the room of a cluster that nobody refers to any more.</summary>
internal enum ReleasedRoom
{
    /// <summary>It stays in the file for the next allocation: the cluster was replaced by another one.</summary>
    Keep,

    /// <summary>It is given back to the file system: the guest said that it does not need it.</summary>
    GiveBack,
}
