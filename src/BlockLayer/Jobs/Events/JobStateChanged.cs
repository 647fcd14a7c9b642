namespace BlockLayer.Jobs;

/// <summary>A job is in another state now; QMP's <c>JOB_STATUS_CHANGE</c>.</summary>
/// <param name="State">The new state.</param>
public sealed record JobStateChanged(JobState State) : JobEvent;
