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
        using (GraphChange change = await GraphChange.BeginAsync(node, CancellationToken.None).ConfigureAwait(false))
        {
            await CopyLackingAsync(node, Origin.Edge, CancellationToken.None).ConfigureAwait(false); // what a guest's write that failed has left
            ThrowIfFailed();
            ThrowIfLacking(node);
            if (_ending == Ending.Switch)
            {
                ThrowIfFrozen(node); // from here on only the target's files and the user can fail, and they fail before anything is switched
                await node.FlushTargetAsync(Origin.Edge).ConfigureAwait(false);
                if (_options.BeforeSwitch is { } tell)
                {
                    await tell().ConfigureAwait(false);
                }

                dropped = await SwitchAsync(node).ConfigureAwait(false);
            }
            else
            {
                await node.FlushTargetAsync(Origin.Edge).ConfigureAwait(false);
                await RemoveFilterAsync(node).ConfigureAwait(false);
            }

            IsCopyWhole = true;
        }

        if (dropped is not null)
        {
            await dropped.DisposeAsync().ConfigureAwait(false); // after the doors are open again
        }
    }

    /// <summary>The disk was changed over, and is still drained.</summary>
    /// <param name="source">What it showed before; closed afterwards, unless somebody else holds it.</param>
    private protected virtual void OnSwitched(BlockNode source)
    {
    }

    // Guests' writes go to both sides by now, so nothing new is marked: what is left is what those do that began before.
    private async ValueTask<bool> IsEqualAsync(LiveCopyNode node, CancellationToken cancellationToken)
    {
        using GraphChange change = await GraphChange.BeginAsync(node, cancellationToken).ConfigureAwait(false);
        await CopyLackingAsync(node, Origin.Edge, cancellationToken).ConfigureAwait(false);
        ThrowIfFailed();
        return node.Dirty.IsEmpty && node.IsBlocking;
    }

    // Returns the source, whose ownership passes to the caller.
    private async ValueTask<BlockNode> SwitchAsync(LiveCopyNode node)
    {
        BlockNode source = await node.ShowTargetAsync().ConfigureAwait(false);
        BlockNode target = node.Filtered.Child;
        OnSwitched(source);
        await RemoveFilterAsync(node).ConfigureAwait(false);
        foreach (BlockEdge edge in target.Parents)
        {
            (edge.Parent as FilterNode)?.TakeOverAgain();
        }

        HasSwitched = true;
        return source;
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
