using System.Runtime.ExceptionServices;

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

    /// <summary>Throws unless the job has completed. What went wrong besides, and does not change that, is not thrown.</summary>
    /// <param name="cancelled">What is told of a job that was cancelled.</param>
    /// <param name="cancellationToken">What it was cancelled by, if the caller knows.</param>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    /// <exception cref="Exception">Why it failed.</exception>
    internal void ThrowUnlessCompleted(string cancelled, CancellationToken cancellationToken = default)
    {
        if (Outcome == JobOutcome.Failed)
        {
            ExceptionDispatchInfo.Throw(Error!);
        }

        if (Outcome == JobOutcome.Cancelled)
        {
            throw new OperationCanceledException(cancelled, Error, cancellationToken);
        }
    }
}
