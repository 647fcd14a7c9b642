using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Jobs;

// One increment: from a cursor, over what needs no data, to the end of the first unit that does.
public sealed partial class StreamJob
{
    /// <summary>
    /// Where the next increment continues, as a guest offset in bytes. It is the disk's length when, and only when, the pull is complete: the base is the image's backing file. It may lie before the
    /// place where this increment began, if something is lacking there: a part that another caller was to fill, or what a crash took back. Before the job has completed, where it began.
    /// </summary>
    public long Cursor => Interlocked.Read(ref _cursor);

    /// <summary>True for an increment that leaves something to the next one. Its copies are as durable as a guest's write that was not flushed; what is lost is found lacking again.</summary>
    private bool EndsEarly => _next is { } next && next < Length;

    // A unit is filled entirely before the cursor moves past it, also where guests are busy, so that increments come to their end.
    private async ValueTask FillNextAsync(long cursor, CancellationToken cancellationToken)
    {
        CopySteps underWay = NewSteps();
        long at = cursor == Length ? cursor : Alignment.RoundDown(cursor, _filter!.CopyUnit);
        int tries = 0;
        bool isFilled = false;
        ReportProgress(at);
        while (at < Length && !isFilled)
        {
            await CheckpointAsync(cancellationToken).ConfigureAwait(false);
            at = await AdvanceAsync(Origin.Door, at, underWay, cancellationToken).ConfigureAwait(false);
            if (underWay.Count == 0)
            {
                continue;
            }

            (ByteRange step, CopyOutcome outcome, bool isZero) = await underWay.EndFirstAsync().ConfigureAwait(false);
            bool isSettled = IsSettled(step, outcome);
            ThrowIfIgnored();
            if (isSettled && await IsFilledAsync(step, ++tries, cancellationToken).ConfigureAwait(false))
            {
                tries = 0;
                isFilled = !isZero; // zeroes cost no data, and the increment goes on behind them
                ReportProgress(at);
            }
            else
            {
                at = step.Offset;
            }
        }

        Interlocked.Exchange(ref _reached, Math.Max(at, Progress.Current));
        _next = at < Length ? at : await FindLackingAsync(Origin.Door, All, cancellationToken).ConfigureAwait(false) ?? Length;
    }

    private async ValueTask<bool> IsFilledAsync(ByteRange range, int tries, CancellationToken cancellationToken)
    {
        if (await FindLackingAsync(Origin.Door, range, cancellationToken).ConfigureAwait(false) is null)
        {
            return true;
        }

        bool isFilled = tries >= OpenRounds && await CopyWhatIsBusyAsync(range, cancellationToken).ConfigureAwait(false);
        ThrowIfIgnored();
        return isFilled;
    }
}
