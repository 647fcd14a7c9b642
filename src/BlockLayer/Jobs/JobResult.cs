namespace BlockLayer.Jobs;

/// <summary>The end of a job.</summary>
/// <param name="Outcome">How it ended.</param>
/// <param name="Progress">How far it came.</param>
/// <param name="Error">
/// Why it failed. Of a job that did not fail: why a file that it has let go of could not be closed, or what a handler threw when it was told of the end; else null.
/// </param>
public sealed record JobResult(JobOutcome Outcome, JobProgress Progress, Exception? Error)
{
    /// <summary>What is left of the files that it worked on.</summary>
    public JobFiles Files { get; init; } = JobFiles.None;
}
