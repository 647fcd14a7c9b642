namespace BlockLayer.Jobs;

/// <summary>The end of a job.</summary>
/// <param name="Outcome">How it ended.</param>
/// <param name="Progress">How far it came.</param>
/// <param name="Error">
/// Why it failed. Of a job that did not fail, what went wrong and does not change that: a file that it let go of could not be closed; an image that it had made writable, or that has
/// become a backing file, could not be made read-only, and stays this process's to write until it is closed; a handler threw that was told of the end; or, of one that was
/// cancelled, a step under way failed. Else null.
/// </param>
public sealed record JobResult(JobOutcome Outcome, JobProgress Progress, Exception? Error)
{
    /// <summary>What is left of the files that it worked on.</summary>
    public JobFiles Files { get; init; } = JobFiles.None;
}
