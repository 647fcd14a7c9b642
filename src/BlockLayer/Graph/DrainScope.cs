namespace BlockLayer.Graph;

/// <summary>
/// A time without requests in a node: the doors of the node and of everything above it are closed, and what was inside has left. Requests that come
/// meanwhile wait in order, and those inside that sleep are woken. Drains nest.
/// </summary>
/// <remarks>It closes the doors of those that stand above now; whoever lets others come between takes the turn of a <see cref="GraphChange"/> first.</remarks>
internal sealed class DrainScope : IDisposable
{
    private readonly List<BlockNode> _closed = [];
    private Haste? _haste;

    private DrainScope()
    {
    }

    /// <summary>Closes the doors and waits for what is inside.</summary>
    internal static async ValueTask<DrainScope> BeginAsync(params BlockNode[] nodes)
    {
        var scope = new DrainScope();
        var ancestorsFirst = new List<BlockNode>();
        foreach (BlockNode node in nodes)
        {
            AddAncestorsFirst(node, ancestorsFirst);
        }

        foreach (BlockNode node in ancestorsFirst)
        {
            scope.Adopt(node);
        }

        scope._haste = new Haste(ancestorsFirst);

        // Ancestors first: once nobody is inside a parent, nothing more can come from it.
        foreach (BlockNode node in ancestorsFirst)
        {
            await node.Gate.WhenIdleAsync().ConfigureAwait(false);
        }

        return scope;
    }

    /// <summary>Closes the door of a node that joins the drained part, such as a filter that is inserted above it.</summary>
    internal void Adopt(BlockNode node)
    {
        node.CloseDoor();
        _closed.Add(node);
    }

    /// <summary>True when this drain keeps the node's door closed.</summary>
    internal bool Covers(BlockNode node) => _closed.Contains(node);

    /// <summary>Opens the doors that this drain closed.</summary>
    public void Dispose()
    {
        using Primitives.ReadyList.Scope ready = Primitives.ReadyList.Enter();
        _haste?.Dispose();
        _haste = null;
        foreach (BlockNode node in _closed)
        {
            node.OpenDoor();
        }

        _closed.Clear();
    }

    private static void AddAncestorsFirst(BlockNode node, List<BlockNode> order)
    {
        if (order.Contains(node))
        {
            return;
        }

        foreach (BlockEdge edge in node.Parents)
        {
            AddAncestorsFirst(edge.Parent, order);
        }

        order.Add(node);
    }
}
