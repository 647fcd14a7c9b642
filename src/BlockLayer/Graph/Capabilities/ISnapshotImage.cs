namespace BlockLayer.Graph;

/// <summary>
/// A format node whose image can keep states of its disk. Every change runs drained, so requests of guests wait for it, and is one step: after a crash the image
/// is as before or as after it.
/// </summary>
internal interface ISnapshotImage
{
    /// <summary>The snapshots in the order of the image's table.</summary>
    /// <exception cref="Errors.BlockLayerException">InvalidFormat or Corrupt: the table cannot be read; Io.</exception>
    ValueTask<IReadOnlyList<SnapshotInfo>> ListSnapshotsAsync(CancellationToken cancellationToken);

    /// <summary>Keeps the present state.</summary>
    /// <exception cref="ArgumentException">The name cannot be stored.</exception>
    /// <exception cref="Errors.BlockLayerException">ReadOnly, Conflict (a job uses the image), Unsupported, Corrupt, NoSpace, Io.</exception>
    ValueTask<SnapshotInfo> CreateSnapshotAsync(string name, CancellationToken cancellationToken);

    /// <summary>Makes the disk what it was, its size included. The snapshot stays.</summary>
    /// <exception cref="Errors.BlockLayerException">NotFound, and as for creating.</exception>
    ValueTask ApplySnapshotAsync(string idOrName, CancellationToken cancellationToken);

    /// <summary>Lets a state go, and gives back what only it used.</summary>
    /// <exception cref="Errors.BlockLayerException">NotFound, and as for creating.</exception>
    ValueTask DeleteSnapshotAsync(string idOrName, CancellationToken cancellationToken);
}
