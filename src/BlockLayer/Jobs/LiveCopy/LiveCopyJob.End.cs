using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Graph;

namespace BlockLayer.Jobs;

// Durable completion: equal, prepared, flushed, switched, in this order.
public abstract partial class LiveCopyJob
{
    // So that the flush with guests held back is short.
    private protected override async ValueTask PrepareAsync()
    {
        ThrowIfFailed();
        await _node!.FlushTargetAsync(Origin.Door).ConfigureAwait(false);
    }

    private protected override async ValueTask CommitAsync()
    {
        LiveCopyNode node = _node!;
        BlockNode? dropped = null;
        try
        {
            using GraphChange change = await GraphChange.BeginAsync(Image, CancellationToken.None).ConfigureAwait(false);
            await CopyLackingAsync(node, Origin.Edge, CancellationToken.None).ConfigureAwait(false); // what a guest's write that failed has left
            ThrowIfFailed();
            ThrowIfLacking(node);
            if (_ending == Ending.LetGo)
            {
                await node.FlushTargetAsync(Origin.Edge).ConfigureAwait(false);
                IsCopyWhole = true;
                await RemoveFilterAsync(node).ConfigureAwait(false);
                return;
            }

            ThrowIfFrozen(node); // from here on only files and the user can fail, and they fail before anything is switched
            await node.FlushTargetAsync(Origin.Edge).ConfigureAwait(false);
            await SettleSourceAsync(change).ConfigureAwait(false);
            IsCopyWhole = true;
            if (_options.BeforeSwitch is { } tell)
            {
                await tell().ConfigureAwait(false);
            }

            dropped = await node.ShowTargetAsync().ConfigureAwait(false);
            HasSwitched = true;
            await FollowUpAsync(() => StepAsideAsync(node)).ConfigureAwait(false);
            await OnSwitchedAsync(change).ConfigureAwait(false);
        }
        finally
        {
            if (dropped is not null)
            {
                await CloseUnneededAsync(dropped).ConfigureAwait(false); // after the doors are open again
            }
        }
    }

    /// <summary>Makes what the disk keeps of its source durable, before it is changed over. Everything is drained.</summary>
    private protected virtual ValueTask SettleSourceAsync(GraphChange change) => ValueTask.CompletedTask;

    /// <summary>The target has taken the source's place, and everything is still drained.</summary>
    private protected virtual ValueTask OnSwitchedAsync(GraphChange change) => ValueTask.CompletedTask;

    // Guests' writes go to both sides by now, so nothing new is marked: what is left is what those do that began before.
    private async ValueTask<bool> IsEqualAsync(LiveCopyNode node, CancellationToken cancellationToken)
    {
        using GraphChange change = await GraphChange.BeginAsync(node, cancellationToken).ConfigureAwait(false);
        await CopyLackingAsync(node, Origin.Edge, cancellationToken).ConfigureAwait(false);
        ThrowIfFailed();
        if (!node.Dirty.IsEmpty || !node.IsBlocking)
        {
            return false;
        }

        EndWork(); // before guests go on: an error that they meet from now on fails the job, which has no step left in which it could copy what it stopped for
        return true;
    }

    // The filter shows the target: its users get the target itself.
    private async ValueTask StepAsideAsync(LiveCopyNode node)
    {
        BlockNode target = node.Filtered.Child;
        await RemoveFilterAsync(node).ConfigureAwait(false);
        foreach (BlockEdge edge in target.Parents)
        {
            (edge.Parent as FilterNode)?.TakeOverAgain();
        }
    }

    private static void ThrowIfFrozen(LiveCopyNode node)
    {
        lock (node.Environment.TopologyLock)
        {
            foreach (BlockEdge edge in node.Parents.Append(node.Filtered))
            {
                edge.ThrowIfFrozen();
            }
        }
    }

    private void ThrowIfLacking(LiveCopyNode node)
    {
        if (!node.Dirty.IsEmpty)
        {
            throw Refusal(BlockErrorKind.Io, Target, $"'{Target.NodeName}' lacks {node.LackingBytes} bytes of '{Image.NodeName}' that could not be copied.");
        }
    }
}
