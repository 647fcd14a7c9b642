namespace BlockLayer.Jobs;

/// <summary>A job has ended; QMP's <c>BLOCK_JOB_COMPLETED</c>, with an error where it failed, or <c>BLOCK_JOB_CANCELLED</c>.</summary>
/// <param name="Result">How; without what a handler of this event throws.</param>
/// <param name="BytesPerSecond">Its limit; 0 is none.</param>
public sealed record JobEnded(JobResult Result, long BytesPerSecond) : JobEvent;
