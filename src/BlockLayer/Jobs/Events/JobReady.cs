namespace BlockLayer.Jobs;

/// <summary>Source and target are equal from now on, and the job can be completed; QMP's <c>BLOCK_JOB_READY</c>.</summary>
/// <param name="Progress">How far it is, in bytes.</param>
/// <param name="BytesPerSecond">Its limit; 0 is none.</param>
public sealed record JobReady(JobProgress Progress, long BytesPerSecond) : JobEvent;
