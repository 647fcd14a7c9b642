namespace BlockLayer.Jobs;

/// <summary>A job is over. When it says completed, the result is durable and the graph is switched.</summary>
/// <param name="Result">How it ended.</param>
public sealed record JobConcluded(JobResult Result) : JobEvent;
