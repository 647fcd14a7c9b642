using BlockLayer.Primitives;

namespace BlockLayer.Graph;

/// <summary>The right to change the graph around a node: one change at a time in an environment, and the node drained.</summary>
internal sealed class GraphChange : IDisposable
{
    private readonly AsyncLock.Releaser _turn;

    private GraphChange(AsyncLock.Releaser turn, DrainScope drain)
    {
        _turn = turn;
        Drain = drain;
    }

    /// <summary>The drain, to adopt nodes that join the drained part.</summary>
    internal DrainScope Drain { get; }

    /// <summary>Waits for other changes and for the requests inside.</summary>
    internal static async ValueTask<GraphChange> BeginAsync(BlockNode node, CancellationToken cancellationToken)
    {
        AsyncLock.Releaser turn = await node.Environment.GraphLock.EnterAsync(cancellationToken).ConfigureAwait(false);
        return new GraphChange(turn, await DrainScope.BeginAsync(node).ConfigureAwait(false));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        // Guests that waited at a door go on only when the turn has been given up too: they may want to change the graph themselves.
        using ReadyList.Scope scope = ReadyList.Enter();
        Drain.Dispose();
        _turn.Dispose();
    }
}
