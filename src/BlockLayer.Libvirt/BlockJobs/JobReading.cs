namespace BlockLayer.Libvirt;

/// <summary>What a job says of itself at one moment.</summary>
/// <param name="Type">What it does.</param>
/// <param name="BytesPerSecond">Its limit; 0 for none.</param>
/// <param name="Current">Bytes dealt with.</param>
/// <param name="End">Bytes to deal with; at least <see cref="Current"/>.</param>
/// <param name="IsReady">True for a copy or active commit in its second phase, and for any job that has nothing left to do.</param>
internal readonly record struct JobReading(BlockJobType Type, long BytesPerSecond, long Current, long End, bool IsReady);
