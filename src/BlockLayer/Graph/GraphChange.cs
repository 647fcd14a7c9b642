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
    internal static ValueTask<GraphChange> BeginAsync(BlockNode node, CancellationToken cancellationToken) => BeginAsync([node], cancellationToken);

    /// <summary>The same for the image behind a filter, as it is when the turn comes: another change may put another one there until then.</summary>
    internal static async ValueTask<GraphChange> BeginOnImageAsync(BlockNode filter, CancellationToken cancellationToken)
    {
        AsyncLock.Releaser turn = await filter.Environment.GraphLock.EnterAsync(cancellationToken).ConfigureAwait(false);
        return new GraphChange(turn, await DrainScope.BeginAsync(filter.SkipFilters()).ConfigureAwait(false));
    }

    /// <summary>The same for several nodes of one environment, drained together.</summary>
    internal static async ValueTask<GraphChange> BeginAsync(BlockNode[] nodes, CancellationToken cancellationToken)
    {
        AsyncLock.Releaser turn = await nodes[0].Environment.GraphLock.EnterAsync(cancellationToken).ConfigureAwait(false);
        return new GraphChange(turn, await DrainScope.BeginAsync(nodes).ConfigureAwait(false));
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
