using BlockLayer.Primitives;

namespace BlockLayer.Graph;

/// <summary>A short piece of work on graphs, such as a snapshot: whoever closes one of them meanwhile waits until it is over.</summary>
internal sealed class GraphUse : IGraphUser, IDisposable
{
    private readonly List<RootNode> _roots = [];
    private readonly Completion _over = new();

    private GraphUse()
    {
    }

    /// <summary>Begins the work, before it touches anything.</summary>
    /// <param name="nodes">A node of each graph.</param>
    /// <exception cref="ObjectDisposedException">One of the graphs is being closed. None is used.</exception>
    internal static GraphUse Begin(IEnumerable<BlockNode> nodes)
    {
        var use = new GraphUse();
        try
        {
            foreach (BlockNode node in nodes)
            {
                use._roots.AddRange(RootNode.Register(node, use));
            }

            return use;
        }
        catch
        {
            use.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public Task EndAsync() => _over.WaitAsync().AsTask();

    /// <summary>The work is over.</summary>
    public void Dispose()
    {
        foreach (RootNode root in _roots)
        {
            root.Forget(this);
        }

        _over.Complete();
    }
}
