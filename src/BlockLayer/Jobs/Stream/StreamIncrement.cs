namespace BlockLayer.Jobs;

/// <summary>What one increment of a pull achieved.</summary>
/// <param name="Next">The cursor of the next increment: <see cref="StreamJob.Cursor"/>.</param>
/// <param name="CopiedBytes">Bytes that this increment stored, zeroes included.</param>
/// <param name="IsComplete">True when nothing is lacking any more, durably, and the base is the image's backing file. <see cref="Next"/> is the disk's length then.</param>
public readonly record struct StreamIncrement(long Next, long CopiedBytes, bool IsComplete)
{
    /// <summary>What went wrong besides, and does not change what the increment achieved (<see cref="JobResult.Error"/>); null for nothing.</summary>
    public Exception? Error { get; init; }

    /// <summary>Waits for the end of an increment that was started.</summary>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    /// <exception cref="Errors.BlockLayerException">Why it failed. The same cursor may be tried again.</exception>
    internal static async ValueTask<StreamIncrement> FinishAsync(StreamJob job, CancellationToken cancellationToken)
    {
        CancellationTokenRegistration registration = cancellationToken.UnsafeRegister(static state => ((StreamJob)state!).TryCancel(), job);
        JobResult result;
        try
        {
            result = await job.Completion.ConfigureAwait(false);
        }
        finally
        {
            registration.Unregister();
        }

        result.ThrowUnlessCompleted($"{job} was cancelled.", cancellationToken);
        return new StreamIncrement(job.Cursor, job.CopiedBytes, job.Cursor == job.Image.Length) { Error = result.Error };
    }
}
