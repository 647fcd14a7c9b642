using BlockLayer.Filters;

namespace BlockLayer.Jobs;

/// <summary>A step of a job failed; QMP's <c>BLOCK_JOB_ERROR</c>.</summary>
/// <param name="Step">Whether reading or storing failed.</param>
/// <param name="Action">What the job did about it.</param>
/// <param name="Error">The failure.</param>
public sealed record JobErrorOccurred(CopyStep Step, JobErrorAction Action, Exception Error) : JobEvent;
