using System.Runtime.ExceptionServices;
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
        var underWay = new Queue<Step>();
        try
        {
            for (long at = range.Offset; at < range.End || underWay.Count > 0;)
            {
                if (underWay.Count > 0 && (at >= range.End || underWay.Count >= StepsAllowed(origin) || IsToPause))
                {
                    Step first = underWay.Dequeue();
                    await first.Task.ConfigureAwait(false);
                    if (IsSettled(first))
                    {
                        ReportProgress(underWay.Count == 0 ? at : first.Range.End);
                    }
                    else
                    {
                        await EndAsync(underWay).ConfigureAwait(false);
                        at = first.Range.Offset;
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
            await EndAsync(underWay).ConfigureAwait(false);
        }
    }

    // Skips a run that lacks nothing, or starts a step on one that does. Returns where to go on.
    private async ValueTask<long> AdvanceAsync(Origin origin, long at, Queue<Step> underWay, CancellationToken cancellationToken)
    {
        CopyOnReadNode filter = _filter!;
        BlockStatus status = await filter.GetCopyStatusAsync(origin, at, cancellationToken).ConfigureAwait(false);
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
            await Limiter.WaitAsync(cancellationToken).ConfigureAwait(false);
            await filter.Guests.WaitForTurnAsync(cancellationToken).ConfigureAwait(false);
        }

        Step step = NextStep(at, status);
        step.Task = _image.Environment.Work.StartAsync(async () =>
            step.Outcome = await filter.CopyUpAsync(origin, step.Range, step.Memory, cancellationToken).ConfigureAwait(false));
        underWay.Enqueue(step);
        return step.Range.End;
    }

    // A limit is kept step by step, and where guests wait for the disk, no second step stands before them.
    private int StepsAllowed(Origin origin)
        => origin == Origin.Door && BytesPerSecond == 0 && _filter!.Guests.IsQuiet && _carefulUntil == 0 && !TakesSmallSteps ? OverlappingSteps : 1;

    // Decides about a step that is over. False: its place is tried again, after the job was stopped or in smaller steps.
    private bool IsSettled(Step step)
    {
        Account(step.Outcome);
        if (step.Outcome.Error is not { } error)
        {
            return true;
        }

        if (_options.OnError == JobErrorPolicy.Ignore && step.Range.Length > _filter!.CopyUnit)
        {
            _carefulUntil = step.Range.End; // only what really fails is left out
            return false;
        }

        switch (HandleError(step.Outcome.FailedStep, error))
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

    // Waits for steps that are under way. What fails in them is met again where it stands.
    private async ValueTask EndAsync(Queue<Step> underWay)
    {
        while (underWay.TryDequeue(out Step? step))
        {
            await step.Task.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            Account(step.Outcome);
        }
    }

    private void Account(CopyOutcome outcome)
    {
        Limiter.Account(outcome.StoredBytes);
        Interlocked.Add(ref _copied, outcome.StoredBytes);
    }

    // Zeroes need no memory and go far. Data goes as far as a guest may have to wait for, and where guests do wait, or an increment is all that is wanted, one unit.
    private Step NextStep(long at, BlockStatus status)
    {
        int unit = _filter!.CopyUnit;
        long first = Alignment.RoundDown(at, unit);
        if (at < _carefulUntil || TakesSmallSteps)
        {
            return new Step(new ByteRange(first, unit).ClampTo(Length), unit);
        }

        long end = at + status.Length == Length ? Length : Alignment.RoundDown(at + status.Length, unit);
        if (status.IsZero && at == first && end > first)
        {
            return new Step(new ByteRange(first, Math.Min(ZeroStep, end - first)), memory: 0);
        }

        int wanted = _options.Cursor is null && _filter.Guests.IsQuiet ? Math.Max(CopyQueue.StoreLength, unit) : unit;
        ByteRange range = new ByteRange(first, Math.Min(wanted, Alignment.RoundDown(_filter.Queue.Memory.Limit, unit))).ClampTo(Length);
        return new Step(range, Alignment.RoundUp(range.Length, unit));
    }

    /// <summary>A copy of a range that the loop has started.</summary>
    private sealed class Step(ByteRange range, long memory)
    {
        internal ByteRange Range => range;

        internal long Memory => memory;

        internal Task Task { get; set; } = Task.CompletedTask;

        internal CopyOutcome Outcome { get; set; }
    }
}
