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
        var underWay = new CopySteps(_image.Environment, Limiter, _ => ReportProgress(filter.SavedBytes));
        try
        {
            for (long at = 0; ;)
            {
                ByteRange? next = NextStep(at);
                if (underWay.Count > 0 && (next is null || underWay.Count >= StepsAllowed() || IsToPause))
                {
                    (ByteRange saved, CopyOutcome outcome, _) = await underWay.EndFirstAsync().ConfigureAwait(false);
                    if (!IsSettled(saved, outcome))
                    {
                        await underWay.EndAllAsync().ConfigureAwait(false);
                        at = saved.Offset;
                    }

                    continue;
                }

                filter.ThrowIfBroken();
                await CheckpointAsync(cancellationToken).ConfigureAwait(false);
                if (next is not { } range)
                {
                    return;
                }

                if (!await WaitForLimitAsync(cancellationToken).ConfigureAwait(false))
                {
                    continue;
                }

                await filter.Guests.WaitForTurnAsync(cancellationToken).ConfigureAwait(false);
                underWay.Start(range, () => filter.SaveForJobAsync(range, cancellationToken));
                at = range.End;
            }
        }
        finally
        {
            await underWay.EndAllAsync().ConfigureAwait(false);
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
    private bool IsSettled(ByteRange range, CopyOutcome outcome)
    {
        if (outcome.Error is not { } error)
        {
            return true;
        }

        JobErrorPolicy policy = outcome.FailedStep == CopyStep.Read ? _options.OnError : _options.OnTargetError;
        if (policy == JobErrorPolicy.Ignore && range.Length > _filter!.Unsaved.Granularity)
        {
            _carefulUntil = range.End; // only what really fails is left out
            return false;
        }

        switch (HandleError(outcome.FailedStep, error, policy))
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
}
