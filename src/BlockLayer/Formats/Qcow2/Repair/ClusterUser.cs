namespace BlockLayer.Formats.Qcow2;

/// <summary>What a reference to a cluster is to others that lead to the same cluster: equal ones may share it.</summary>
/// <param name="Kind">What the cluster holds for this user.</param>
/// <param name="Number">Which one of its kind.</param>
internal readonly record struct ClusterUser(ClusterUser.Role Kind, long Number)
{
    /// <summary>What a cluster may hold.</summary>
    internal enum Role : byte
    {
        /// <summary>The header, the encryption header, an L1 table, the snapshot table: each is one of a kind.</summary>
        Structure,

        /// <summary>The L2 table of a part of the disk, of the active disk and of snapshots.</summary>
        L2Table,

        /// <summary>A guest cluster.</summary>
        Data,

        /// <summary>Compressed streams, any of them.</summary>
        Streams,
    }

    /// <summary>Compressed streams: they lie in one cluster side by side.</summary>
    internal static readonly ClusterUser Streams = new(Role.Streams, 0);

    /// <summary>The L2 table that an L1 entry with this index leads to.</summary>
    internal static ClusterUser L2Table(long l1Index) => new(Role.L2Table, l1Index);

    /// <summary>The data of a guest cluster.</summary>
    internal static ClusterUser Data(GuestCluster cluster) => new(Role.Data, cluster.Index);

    /// <summary>A structure that shares with nobody.</summary>
    internal static ClusterUser Structure(int number) => new(Role.Structure, number);
}
