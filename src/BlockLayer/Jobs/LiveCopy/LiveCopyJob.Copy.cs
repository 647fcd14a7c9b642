using System.Runtime.ExceptionServices;
using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Jobs;

// The work: from the map of what is lacking to equal sides, and on until somebody ends it.
public abstract partial class LiveCopyJob
{
    private const int MostUnderWay = 16;                        // copies at once while no guest waits, as QEMU's mirror has
    private const long ZeroStep = 32L * LiveCopyNode.MaxPiece;  // bytes of zeroes in one step
    private const int GuestsStep = 64 * 1024;                   // bytes of a step while guests use the disk, or one unit

    /// <summary>Marks what the target lacks at the beginning. Guests change the source meanwhile, and those changes are marked by themselves.</summary>
    private protected abstract ValueTask MapAsync(LiveCopyNode node, CancellationToken cancellationToken);

    private protected sealed override async Task WorkAsync(CancellationToken cancellationToken)
    {
        LiveCopyNode node = _node!;
        node.IsBlocking = IsToBlock;
        await MapAsync(node, cancellationToken).ConfigureAwait(false);
        _isMapped = true;
        while (true)
        {
            await EnterStepAsync(node, cancellationToken).ConfigureAwait(false);
            await CopyLackingAsync(node, Origin.Door, cancellationToken).ConfigureAwait(false);
            if (IsToPause || !node.Dirty.IsEmpty)
            {
                continue;
            }

            ThrowIfFailed();
            if (!_isReady)
            {
                if (await TryFlushAsync(node).ConfigureAwait(false))
                {
                    _isReady = true;
                    BecomeReady();
                }
            }
            else if (_ending == Ending.None)
            {
                await IdleUntilMarkedAsync(node, cancellationToken).ConfigureAwait(false);
            }
            else if (await IsEqualAsync(node, cancellationToken).ConfigureAwait(false))
            {
                return;
            }
        }
    }

    /// <summary>Marks the parts of the disk that <paramref name="isLackingAsync"/> wants, going from run to run.</summary>
    /// <param name="node">The filter.</param>
    /// <param name="isLackingAsync">Of a range: whether what it begins with is lacking, and how far that goes.</param>
    /// <param name="cancellationToken">Ends it.</param>
    private protected async ValueTask MapAsync(
        LiveCopyNode node,
        Func<ByteRange, ValueTask<(bool IsLacking, long Length)>> isLackingAsync,
        CancellationToken cancellationToken)
    {
        for (long at = 0; at < node.Length;)
        {
            await CheckpointAsync(cancellationToken).ConfigureAwait(false);
            try
            {
                (bool isLacking, long length) = await isLackingAsync(new ByteRange(at, node.Length - at)).ConfigureAwait(false);
                if (isLacking)
                {
                    node.Mark(new ByteRange(at, length), DirtyCause.NotCopied);
                }

                at += length;
            }
            catch (BlockLayerException error) when (DecideAbout(CopyStep.Read, error) is var action && action != JobErrorAction.Report)
            {
                if (action == JobErrorAction.Ignore)
                {
                    node.Mark(new ByteRange(at, 1), DirtyCause.NotCopied); // to be read all the same
                    at = Alignment.RoundDown(at, node.Dirty.Granularity) + node.Dirty.Granularity;
                }
            }
        }
    }

    private bool IsToBlock => CopyMode == MirrorCopyMode.WriteBlocking || _ending != Ending.None;

    // Before each step: pauses, and what has come to be since the last one.
    private async ValueTask EnterStepAsync(LiveCopyNode node, CancellationToken cancellationToken)
    {
        await CheckpointAsync(cancellationToken).ConfigureAwait(false);
        ThrowIfTargetFailed();
        node.IsBlocking = IsToBlock;
    }

    /// <summary>Goes once over what is marked and copies it; ends early where the job is to pause.</summary>
    /// <param name="node">The filter.</param>
    /// <param name="origin">
    /// From the door, it makes way for pauses, the rate limit and guests. From an edge, the job itself holds guests back: it waits for nobody.
    /// </param>
    /// <param name="cancellationToken">Ends it after the steps under way.</param>
    private async ValueTask CopyLackingAsync(LiveCopyNode node, Origin origin, CancellationToken cancellationToken)
    {
        var underWay = new CopySteps(node.Environment, Limiter, bytes => ReportProgress(Interlocked.Add(ref _copied, bytes)));
        try
        {
            for (long at = 0; ;)
            {
                ByteRange? lacking = node.Dirty.NextDirty(at);
                if (underWay.Count > 0 && (lacking is null || underWay.Count >= StepsAllowed(node, origin) || IsToPause))
                {
                    (ByteRange copied, CopyOutcome outcome, _) = await underWay.EndFirstAsync().ConfigureAwait(false);
                    Settle(node, copied, outcome);
                    continue;
                }

                if (lacking is not { } run || (origin == Origin.Edge && IsToPause))
                {
                    return;
                }

                if (origin == Origin.Door)
                {
                    await EnterStepAsync(node, cancellationToken).ConfigureAwait(false);
                    if (!await WaitForLimitAsync(cancellationToken).ConfigureAwait(false))
                    {
                        continue;
                    }

                    await node.Guests.WaitForTurnAsync(cancellationToken).ConfigureAwait(false);
                }

                ByteRange range = await NextRangeAsync(node, origin, run, cancellationToken).ConfigureAwait(false);
                underWay.Start(range, () => node.CopyAsync(origin, range, cancellationToken));
                at = range.End;
            }
        }
        finally
        {
            await underWay.EndAllAsync().ConfigureAwait(false); // what failed is marked
        }
    }

    // A limit is kept step by step, and where guests wait for the disk, no second step stands before them.
    private int StepsAllowed(LiveCopyNode node, Origin origin)
        => origin == Origin.Edge || (BytesPerSecond == 0 && node.Guests.IsQuiet && !TakesSmallSteps) ? MostUnderWay : 1;

    // Whole units. Zeroes go far, data as far as a guest may have to wait for.
    private async ValueTask<ByteRange> NextRangeAsync(LiveCopyNode node, Origin origin, ByteRange run, CancellationToken cancellationToken)
    {
        long unit = node.Dirty.Granularity;
        if (_isCareful || TakesSmallSteps)
        {
            return run with { Length = Math.Min(run.Length, unit) };
        }

        if (run.Length > LiveCopyNode.MaxPiece)
        {
            BlockStatus status = await TryGetStatusAsync(node, origin, run, cancellationToken).ConfigureAwait(false);
            long zeroes = status.IsZero ? Alignment.RoundDown(Math.Min(status.Length, ZeroStep), unit) : 0;
            if (zeroes >= LiveCopyNode.MaxPiece)
            {
                return run with { Length = zeroes };
            }
        }

        bool isAlone = origin == Origin.Edge || node.Guests.IsQuiet;
        return run with { Length = Math.Min(run.Length, Math.Max(unit, isAlone ? LiveCopyNode.MaxPiece : GuestsStep)) };
    }

    // Only a hint: the step asks again, and meets the error where it counts.
    private static async ValueTask<BlockStatus> TryGetStatusAsync(LiveCopyNode node, Origin origin, ByteRange run, CancellationToken cancellationToken)
    {
        try
        {
            return await node.GetSourceStatusAsync(origin, run, cancellationToken).ConfigureAwait(false);
        }
        catch (BlockLayerException)
        {
            return BlockStatus.Unallocated(run.Length);
        }
    }

    // Decides about a step that is over. What failed is marked already.
    private void Settle(LiveCopyNode node, ByteRange range, CopyOutcome outcome)
    {
        if (outcome.Error is not { } error)
        {
            return;
        }

        switch (DecideAbout(outcome.FailedStep, error))
        {
            case JobErrorAction.Stop:
                return;
            case JobErrorAction.Ignore when range.Length > node.Dirty.Granularity:
                _isCareful = true; // only what really fails is left out
                return;
            case JobErrorAction.Ignore:
                _ignored ??= error;
                node.Dirty.Clear(range.Offset, range.Length);
                return;
            default:
                ExceptionDispatchInfo.Throw(error);
                return;
        }
    }

    // False: it failed, and the job's policy is to stop and try again.
    private async ValueTask<bool> TryFlushAsync(LiveCopyNode node)
    {
        try
        {
            await node.FlushTargetAsync(Origin.Door).ConfigureAwait(false);
            return true;
        }
        catch (BlockLayerException error)
        {
            if (DecideAbout(CopyStep.Write, error) != JobErrorAction.Stop)
            {
                throw; // there is nothing else to go on with
            }

            return false;
        }
    }

    private async ValueTask IdleUntilMarkedAsync(LiveCopyNode node, CancellationToken cancellationToken)
    {
        node.Watch();
        if (node.Dirty.IsEmpty && _targetFailure is null && _ending == Ending.None)
        {
            await IdleAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    private void ThrowIfFailed()
    {
        ThrowIfTargetFailed();
        if (_ignored is { } error)
        {
            ExceptionDispatchInfo.Throw(error);
        }
    }

    private void ThrowIfTargetFailed()
    {
        if (_targetFailure is { } error)
        {
            ExceptionDispatchInfo.Throw(error);
        }
    }
}
