using System.Runtime.ExceptionServices;
using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Requests;

namespace BlockLayer.Jobs;

// The copy loop: from one lacking place to the next, to the end.
public sealed partial class StreamJob
{
    private const long ZeroStep = 2L * CopyQueue.ZeroStoreLength; // bytes of zeroes copied in one step
    private const int OverlappingSteps = 4;                       // steps under way at once while no guest waits: reads and stores overlap

    /// <summary>Goes once over a range and copies what is lacking, except what guests are writing just then.</summary>
    /// <param name="origin">
    /// From the door, the pass makes way for pauses, the rate limit and guests. From an edge, the job itself holds guests back: it waits for nobody, and an
    /// error that stops the job ends the pass.
    /// </param>
    /// <param name="range">Where; a unit that it touches is copied whole.</param>
    /// <param name="cancellationToken">Ends the pass after the steps under way.</param>
    private async ValueTask CopyPassAsync(Origin origin, ByteRange range, CancellationToken cancellationToken)
    {
        CopySteps underWay = NewSteps();
        try
        {
            for (long at = range.Offset; at < range.End || underWay.Count > 0;)
            {
                if (underWay.Count > 0 && (at >= range.End || underWay.Count >= StepsAllowed(origin) || IsToPause))
                {
                    (ByteRange copied, CopyOutcome outcome, _) = await underWay.EndFirstAsync().ConfigureAwait(false);
                    if (IsSettled(copied, outcome))
                    {
                        ReportProgress(underWay.Count == 0 ? at : copied.End);
                    }
                    else
                    {
                        await underWay.EndAllAsync().ConfigureAwait(false);
                        at = copied.Offset;
                        if (origin == Origin.Edge && at >= _carefulUntil)
                        {
                            return;
                        }
                    }

                    continue;
                }

                cancellationToken.ThrowIfCancellationRequested();
                if (origin == Origin.Door)
                {
                    await CheckpointAsync(cancellationToken).ConfigureAwait(false);
                }

                at = await AdvanceAsync(origin, at, underWay, cancellationToken).ConfigureAwait(false);
            }
        }
        finally
        {
            await underWay.EndAllAsync().ConfigureAwait(false);
        }
    }

    // Skips a run that lacks nothing, or starts a step on one that does. Returns where to go on.
    private async ValueTask<long> AdvanceAsync(Origin origin, long at, CopySteps underWay, CancellationToken cancellationToken)
    {
        CopyOnReadNode filter = _filter!;
        BlockStatus status;
        try
        {
            // Asked to the end of the disk, each step would look at everything that the steps after it look at.
            ByteRange ahead = new ByteRange(at, ZeroStep).ClampTo(Length);
            status = await filter.GetCopyStatusAsync(origin, ahead, cancellationToken).ConfigureAwait(false);
        }
        catch (BlockLayerException error)
        {
            return underWay.Fail(UnitAt(at), error).End;
        }

        if (!CopyPlan.IsLacking(status))
        {
            if (underWay.Count == 0)
            {
                ReportProgress(at + status.Length);
            }

            return at + status.Length;
        }

        if (origin == Origin.Door)
        {
            if (!await WaitForLimitAsync(cancellationToken).ConfigureAwait(false))
            {
                return at;
            }

            await filter.Guests.WaitForTurnAsync(cancellationToken).ConfigureAwait(false);
        }

        (ByteRange step, long memory) = NextStep(at, status);
        underWay.Start(step, () => filter.CopyUpAsync(origin, step, memory, cancellationToken), isZero: memory == 0);
        return step.End;
    }

    // A limit is kept step by step, and where guests wait for the disk, no second step stands before them.
    private int StepsAllowed(Origin origin)
        => origin == Origin.Door && BytesPerSecond == 0 && _filter!.Guests.IsQuiet && _carefulUntil == 0 && !TakesSmallSteps ? OverlappingSteps : 1;

    private CopySteps NewSteps() => new(_image.Environment, Limiter, bytes => Interlocked.Add(ref _copied, bytes));

    // Decides about a step that is over. False: its place is tried again, after the job was stopped or in smaller steps.
    private bool IsSettled(ByteRange range, CopyOutcome outcome)
    {
        if (outcome.Error is not { } error)
        {
            return true;
        }

        if (_options.OnError == JobErrorPolicy.Ignore && range.Length > _filter!.CopyUnit)
        {
            _carefulUntil = range.End; // only what really fails is left out
            return false;
        }

        switch (HandleError(outcome.FailedStep, error))
        {
            case JobErrorAction.Ignore:
                _ignored ??= error;
                return true;
            case JobErrorAction.Stop:
                return false;
            default:
                ExceptionDispatchInfo.Throw(error);
                throw error;
        }
    }

    // Zeroes need no memory and go far. Data goes as far as a guest may have to wait for, and where guests do wait, or an increment is all that is wanted, one unit.
    private (ByteRange Range, long Memory) NextStep(long at, BlockStatus status)
    {
        int unit = _filter!.CopyUnit;
        long first = Alignment.RoundDown(at, unit);
        if (at < _carefulUntil || TakesSmallSteps)
        {
            return (UnitAt(at), unit);
        }

        long end = at + status.Length == Length ? Length : Alignment.RoundDown(at + status.Length, unit);
        if (status.IsZero && at == first && end > first)
        {
            return (new ByteRange(first, Math.Min(ZeroStep, end - first)), 0);
        }

        int wanted = _options.Cursor is null && _filter.Guests.IsQuiet ? Math.Max(CopyQueue.StoreLength, unit) : unit;
        ByteRange range = new ByteRange(first, Math.Min(wanted, Alignment.RoundDown(_filter.Queue.Memory.Limit, unit))).ClampTo(Length);
        return (range, Alignment.RoundUp(range.Length, unit));
    }

    private ByteRange UnitAt(long at) => new ByteRange(Alignment.RoundDown(at, _filter!.CopyUnit), _filter.CopyUnit).ClampTo(Length);
}
