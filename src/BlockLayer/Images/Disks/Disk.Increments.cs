using BlockLayer.Jobs;

namespace BlockLayer.Images;

// Pulls in increments, for whoever wants to say when each part is copied.
public sealed partial class Disk
{
    /// <summary>
    /// Fills the next unit that the image lacks, from a cursor on, and says where to continue; what needs no data is passed over without being read. Called from 0 with the cursor
    /// that it returns until <see cref="StreamIncrement.IsComplete"/>, it does what <see cref="StartPullAsync"/> does; the last call ends as durably as a pull. The guest goes on, meanwhile and
    /// in between, and the chain may change in between.
    /// </summary>
    /// <param name="cursor">0, or what an earlier increment returned, whoever's; also after a crash.</param>
    /// <param name="options">How; the same for all increments of a pull. Null pulls the whole chain.</param>
    /// <param name="cancellationToken">Cancels the increment; what it copied stays.</param>
    /// <exception cref="Errors.BlockLayerException">
    /// As for <see cref="StartPullAsync"/>; OutOfRange: the cursor; Conflict: also another increment that is under way; and what copying met. The same cursor may be tried again.
    /// </exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public async ValueTask<StreamIncrement> StreamIncrementAsync(long cursor, StreamOptions? options = null, CancellationToken cancellationToken = default)
    {
        StreamJob job = await StartPullAsync((options ?? new StreamOptions()) with { Cursor = cursor }, cancellationToken).ConfigureAwait(false);
        return await StreamIncrement.FinishAsync(job, cancellationToken).ConfigureAwait(false);
    }
}
