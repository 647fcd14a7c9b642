namespace BlockLayer.Graph;

/// <summary>A format node whose data file becomes a disk of its own once everything is in it.</summary>
internal interface IFinishableImage
{
    /// <summary>
    /// Makes the data file the whole disk, durably, and lets the backing file go. Where there is no backing file, what was never written becomes zeroes. Runs
    /// drained.
    /// </summary>
    /// <exception cref="Errors.BlockLayerException">ReadOnly; Unsupported: something is still in the backing file; Conflict: a job uses it; NoSpace, Io.</exception>
    ValueTask FinishAsync(CancellationToken cancellationToken);
}
