using System.Runtime.ExceptionServices;
using BlockLayer.Filters;
using BlockLayer.Primitives;

namespace BlockLayer.Jobs;

// The copy loop: from one unit that is not saved to the next, several steps at once while guests leave the disk alone.
public sealed partial class BackupJob
{
    private const int OverlappingSteps = 4;
    private const long StepLength = 512 * 1024;

    private long _carefulUntil; // up to here units are saved one by one, because a larger step failed and errors are ignored

    private protected override async Task WorkAsync(CancellationToken cancellationToken)
    {
        while (_options.Sync == BackupSync.None)
        {
            _filter!.ThrowIfBroken();
            await CheckpointAsync(cancellationToken).ConfigureAwait(false);
            await IdleAsync(cancellationToken).ConfigureAwait(false);
        }

        await CopyAsync(cancellationToken).ConfigureAwait(false);
        _filter!.ThrowIfBroken();
        if (_ignored is { } error)
        {
            ExceptionDispatchInfo.Throw(error);
        }

        ReportProgress(End);
    }

    private async ValueTask CopyAsync(CancellationToken cancellationToken)
    {
        CopyBeforeWriteNode filter = _filter!;
        var underWay = new Queue<Step>();
        try
        {
            for (long at = 0; ;)
            {
                ByteRange? next = NextStep(at);
                if (underWay.Count > 0 && (next is null || underWay.Count >= StepsAllowed() || IsToPause))
                {
                    Step first = underWay.Dequeue();
                    await first.Task.ConfigureAwait(false);
                    if (!IsSettled(first))
                    {
                        await EndAsync(underWay).ConfigureAwait(false);
                        at = first.Range.Offset;
                    }

                    ReportProgress(filter.SavedBytes);
                    continue;
                }

                filter.ThrowIfBroken();
                await CheckpointAsync(cancellationToken).ConfigureAwait(false);
                if (next is not { } range)
                {
                    return;
                }

                await Limiter.WaitAsync(cancellationToken).ConfigureAwait(false);
                await filter.Guests.WaitForTurnAsync(cancellationToken).ConfigureAwait(false);
                var step = new Step(range);
                step.Task = _image.Environment.Work.StartAsync(async () => step.Outcome = await filter.SaveAsync(range, cancellationToken).ConfigureAwait(false));
                underWay.Enqueue(step);
                at = range.End;
            }
        }
        finally
        {
            await EndAsync(underWay).ConfigureAwait(false);
        }
    }

    // While guests use the disk a step is one unit, which is what one of them may have to wait for.
    private ByteRange? NextStep(long at)
    {
        long unit = _filter!.Unsaved.Granularity;
        if (_filter.Unsaved.NextDirty(at) is not { } run)
        {
            return null;
        }

        long most = _filter.Guests.IsQuiet && run.Offset >= _carefulUntil && !TakesSmallSteps ? Math.Max(StepLength, unit) : unit;
        return run with { Length = Math.Min(run.Length, most) };
    }

    private int StepsAllowed() => BytesPerSecond == 0 && _filter!.Guests.IsQuiet && !TakesSmallSteps ? OverlappingSteps : 1;

    // Decides about a step that is over. False: its place is tried again, after the job was stopped.
    private bool IsSettled(Step step)
    {
        Limiter.Account(step.Outcome.StoredBytes);
        if (step.Outcome.Error is not { } error)
        {
            return true;
        }

        JobErrorPolicy policy = step.Outcome.FailedStep == CopyStep.Read ? _options.OnError : _options.OnTargetError;
        if (policy == JobErrorPolicy.Ignore && step.Range.Length > _filter!.Unsaved.Granularity)
        {
            _carefulUntil = step.Range.End; // only what really fails is left out
            return false;
        }

        switch (HandleError(step.Outcome.FailedStep, error, policy))
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
            Limiter.Account(step.Outcome.StoredBytes);
        }
    }

    /// <summary>A range that is being saved.</summary>
    private sealed class Step(ByteRange range)
    {
        internal ByteRange Range => range;

        internal Task Task { get; set; } = Task.CompletedTask;

        internal CopyOutcome Outcome { get; set; }
    }
}
