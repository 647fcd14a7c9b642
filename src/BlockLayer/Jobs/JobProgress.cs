namespace BlockLayer.Jobs;

/// <summary>How far a job is.</summary>
/// <param name="Current">Bytes dealt with, copied or skipped; never goes back.</param>
/// <param name="End">Bytes to deal with. Equal to <paramref name="Current"/> when the job has completed.</param>
public readonly record struct JobProgress(long Current, long End);
