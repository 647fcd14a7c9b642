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

    /// <summary>Goes once over the disk and copies what is lacking, except what guests are writing just then.</summary>
    /// <param name="origin">
    /// From the door, the pass makes way for pauses, the rate limit and guests. From an edge, the job itself holds guests back: it waits for nobody, and an
    /// error that stops the job ends the pass.
    /// </param>
    /// <param name="cancellationToken">Ends the pass after the step under way.</param>
    private async ValueTask CopyPassAsync(Origin origin, CancellationToken cancellationToken)
    {
        CopyOnReadNode filter = _filter!;
        for (long at = 0; at < End;)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (origin == Origin.Door)
            {
                await CheckpointAsync(cancellationToken).ConfigureAwait(false);
            }

            BlockStatus status = await filter.GetCopyStatusAsync(origin, at, cancellationToken).ConfigureAwait(false);
            if (!CopyPlan.IsLacking(status))
            {
                at += status.Length;
                ReportProgress(at);
                continue;
            }

            if (origin == Origin.Door)
            {
                await Limiter.WaitAsync(cancellationToken).ConfigureAwait(false);
                await filter.Guests.WaitForTurnAsync(cancellationToken).ConfigureAwait(false);
            }

            (ByteRange step, long memory) = NextStep(at, status);
            if (await StepSucceedsAsync(origin, step, memory, cancellationToken).ConfigureAwait(false))
            {
                at = step.End;
                ReportProgress(at);
            }
            else if (origin == Origin.Edge && _carefulUntil <= at)
            {
                return;
            }
        }
    }

    // False: the same place is tried again, after the job was stopped or in smaller steps.
    private async ValueTask<bool> StepSucceedsAsync(Origin origin, ByteRange step, long memory, CancellationToken cancellationToken)
    {
        CopyOutcome outcome = await _filter!.CopyUpAsync(origin, step, memory, cancellationToken).ConfigureAwait(false);
        Limiter.Account(outcome.StoredBytes);
        if (outcome.Error is not { } error)
        {
            return true;
        }

        if (_options.OnError == JobErrorPolicy.Ignore && step.Length > _filter.CopyUnit)
        {
            _carefulUntil = step.End; // only what really fails is left out
            return false;
        }

        switch (HandleError(outcome.FailedStep, error, _options.OnError))
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

    // Zeroes need no memory and go far; data goes as far as a guest may have to wait for.
    private (ByteRange Step, long Memory) NextStep(long at, BlockStatus status)
    {
        int unit = _filter!.CopyUnit;
        long first = Alignment.RoundDown(at, unit);
        if (at < _carefulUntil)
        {
            return (new ByteRange(first, unit).ClampTo(End), unit);
        }

        long end = at + status.Length == End ? End : Alignment.RoundDown(at + status.Length, unit);
        if (status.IsZero && at == first && end > first)
        {
            return (new ByteRange(first, Math.Min(ZeroStep, end - first)), 0);
        }

        long most = Math.Min(Math.Max(CopyQueue.StoreLength, unit), Alignment.RoundDown(_filter.Queue.Memory.Limit, unit));
        ByteRange step = new ByteRange(first, most).ClampTo(End);
        return (step, Alignment.RoundUp(step.Length, unit));
    }
}
