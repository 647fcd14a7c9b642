namespace BlockLayer.Graph;

/// <summary>
/// A time in which somebody waits for the requests inside a node to end, for a drain or to close it. Requests that wait for nothing but time, there or in a node
/// below, go on at once; those that wait for data or for each other do not.
/// </summary>
internal sealed class Haste : IDisposable
{
    private readonly List<BlockNode> _hastened = [];

    /// <summary>Hastens the nodes and everything below them until disposed.</summary>
    internal Haste(IEnumerable<BlockNode> nodes)
    {
        foreach (BlockNode node in nodes)
        {
            Add(node);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (BlockNode node in _hastened)
        {
            node.EndHaste();
        }

        _hastened.Clear();
    }

    private void Add(BlockNode node)
    {
        if (_hastened.Contains(node))
        {
            return;
        }

        _hastened.Add(node);
        node.BeginHaste();
        foreach (BlockEdge edge in node.Children)
        {
            Add(edge.Child);
        }
    }
}
