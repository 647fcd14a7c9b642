namespace BlockLayer.Jobs;

/// <summary>The whole transaction has done its work, and waits for <see cref="BlockJob.FinalizeJob"/>; QMP's <c>BLOCK_JOB_PENDING</c>. Only for jobs that are not finalized by themselves.</summary>
public sealed record JobPending : JobEvent;
