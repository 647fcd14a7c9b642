using BlockLayer.Storage;

namespace BlockLayer.Graph;

/// <summary>
/// The handle by which a guest holds a graph: a filter that changes nothing and stays on top for as long as the guest runs. Jobs put their filters
/// between it and the image, under drain, so that the guest's requests pass through them without the guest noticing.
/// </summary>
internal sealed class RootNode : FilterNode
{
    private const ImagePermissions Reads = ImagePermissions.ConsistentRead;

    private readonly List<IGraphUser> _users = []; // guarded by the topology lock
    private bool _isClosing;                       // guarded by the topology lock; nobody else comes to use the graph

    /// <summary>Puts a root on <paramref name="child"/> and takes over the caller's ownership of it.</summary>
    internal RootNode(BlockNode child)
        : base(child.NodeName, child, child.IsReadOnly ? Reads : Reads | ImagePermissions.Write | ImagePermissions.Resize, Reads | ImagePermissions.WriteUnchanged)
    {
    }

    /// <inheritdoc/>
    public override string DriverName => "root";

    /// <summary>That of the image that it shows now: snapshots and jobs put others there.</summary>
    public override string NodeName => Filtered?.Child.SkipFilters().NodeName ?? base.NodeName; // there is no link yet while the base makes it

    /// <summary>Makes work around a node known to every root above it, before it touches anything.</summary>
    /// <returns>Those roots, to be told when it is over (<see cref="Forget"/>); none where nobody holds the graph by a root.</returns>
    /// <exception cref="ObjectDisposedException">One of them is being closed. The work is known to none.</exception>
    internal static IReadOnlyList<RootNode> Register(BlockNode node, IGraphUser user)
    {
        lock (node.Environment.TopologyLock)
        {
            RootNode[] roots = [.. Above(node).Distinct()];
            if (Array.Find(roots, static root => root._isClosing) is { } closing)
            {
                throw new ObjectDisposedException(closing.NodeName, "The disk is closed.");
            }

            foreach (RootNode root in roots)
            {
                root._users.Add(user);
            }

            return roots;
        }
    }

    /// <summary>The work is over.</summary>
    internal void Forget(IGraphUser user)
    {
        lock (Environment.TopologyLock)
        {
            _users.Remove(user);
        }
    }

    /// <summary>Ends all work on the graph, and lets nobody begin any more.</summary>
    internal Task EndUsersAsync()
    {
        IGraphUser[] users;
        lock (Environment.TopologyLock)
        {
            _isClosing = true;
            users = [.. _users];
        }

        return Task.WhenAll(users.Select(static user => user.EndAsync())); // all are asked before one is waited for
    }

    private static IEnumerable<RootNode> Above(BlockNode node)
        => node is RootNode root ? [root] : node.Parents.SelectMany(static edge => Above(edge.Parent));
}
