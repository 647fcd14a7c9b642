using System.Diagnostics;
using BlockLayer.Errors;
using BlockLayer.Storage;

namespace BlockLayer.Graph;

/// <summary>
/// A link from a parent to its child: a role, what the parent needs and what it lets others do, and the way by which the parent's requests reach the
/// child. Requests through an edge belong to requests that are inside already, so a drain waits for them instead of holding them back.
/// </summary>
internal sealed class BlockEdge
{
    private readonly List<string> _freezers = []; // guarded by the environment's topology lock

    internal BlockEdge(BlockNode parent, BlockNode child, EdgeRole role, ImagePermissions needs, ImagePermissions shares)
    {
        Parent = parent;
        Child = child;
        Role = role;
        Needs = needs;
        Shares = shares;
    }

    /// <summary>The node that uses.</summary>
    internal BlockNode Parent { get; }

    /// <summary>The node that is used. Changes only under drain.</summary>
    internal BlockNode Child { get; set; }

    /// <summary>What the child is to the parent.</summary>
    internal EdgeRole Role { get; }

    /// <summary>What the parent does with the child.</summary>
    internal ImagePermissions Needs { get; set; }

    /// <summary>What the parent lets others do with the child meanwhile.</summary>
    internal ImagePermissions Shares { get; set; }

    /// <summary>Keeps the edge from being replaced or removed until the result is disposed.</summary>
    /// <param name="by">Who asks, for the message of whoever is refused.</param>
    internal Freeze FreezeFor(string by)
    {
        lock (Parent.Environment.TopologyLock)
        {
            _freezers.Add(by);
        }

        return new Freeze(this, by);
    }

    /// <summary>Who keeps the edge as it is; null if nobody does. The caller holds the topology lock.</summary>
    internal string? FrozenBy => _freezers.Count > 0 ? _freezers[0] : null;

    /// <exception cref="BlockLayerException">Conflict: somebody needs the edge as it is.</exception>
    internal void ThrowIfFrozen()
    {
        if (FrozenBy is { } by)
        {
            throw new BlockLayerException(
                BlockErrorKind.Conflict,
                $"The {Role} link from '{Parent.NodeName}' to '{Child.NodeName}' cannot change: {by} uses it.")
            {
                NodeName = Parent.NodeName,
            };
        }
    }

    internal ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken, ReadFlags flags = ReadFlags.None)
        => Child.ReadAsync(Origin.Edge, offset, buffer, flags, cancellationToken);

    /// <summary>Reads with zeroes past the child's end.</summary>
    internal ValueTask ReadPaddedAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken, ReadFlags flags = ReadFlags.None)
        => offset <= Child.Length && buffer.Length <= Child.Length - offset
            ? Child.ReadAsync(Origin.Edge, offset, buffer, flags, cancellationToken)
            : Child.ReadPaddedAsync(Origin.Edge, offset, buffer, flags, cancellationToken);

    internal ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken, WriteFlags flags = WriteFlags.None)
    {
        AssertHolds((flags & WriteFlags.Unchanged) != 0 ? ImagePermissions.Write | ImagePermissions.WriteUnchanged : ImagePermissions.Write);
        AssertMayGrow(offset, buffer.Length);
        return Child.WriteAsync(Origin.Edge, offset, buffer, flags, cancellationToken);
    }

    internal ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        AssertHolds(ImagePermissions.Write);
        AssertMayGrow(offset, length);
        return Child.WriteZeroesAsync(Origin.Edge, offset, length, flags, cancellationToken);
    }

    internal ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken)
    {
        AssertHolds(ImagePermissions.Write);
        return Child.DiscardAsync(Origin.Edge, offset, length, cancellationToken);
    }

    internal ValueTask FlushAsync(CancellationToken cancellationToken) => Child.FlushAsync(Origin.Edge, cancellationToken);

    internal ValueTask<BlockStatus> GetStatusAsync(long offset, long length, StatusDepth depth, CancellationToken cancellationToken)
        => Child.GetStatusAsync(Origin.Edge, offset, length, depth, cancellationToken);

    internal ValueTask PopulateAsync(long offset, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
    {
        AssertHolds(ImagePermissions.Write | ImagePermissions.WriteUnchanged);
        return Child.PopulateAsync(Origin.Edge, offset, buffer, cancellationToken);
    }

    internal ValueTask PopulateZeroesAsync(long offset, long length, CancellationToken cancellationToken)
    {
        AssertHolds(ImagePermissions.Write | ImagePermissions.WriteUnchanged);
        return Child.PopulateZeroesAsync(Origin.Edge, offset, length, cancellationToken);
    }

    internal ValueTask ResizeAsync(long length, ResizeOptions options, CancellationToken cancellationToken)
    {
        AssertHolds(ImagePermissions.Resize);
        return Child.ResizeFromEdgeAsync(length, options, cancellationToken);
    }

    [Conditional("DEBUG")]
    private void AssertHolds(ImagePermissions any)
        => Debug.Assert((Needs & any) != 0, "the parent does what it holds no permission for");

    [Conditional("DEBUG")]
    private void AssertMayGrow(long offset, long length)
        => Debug.Assert((Needs & ImagePermissions.Resize) != 0 || length <= Child.Length - offset, "only a parent that may resize writes past the end");

    /// <summary>Keeps an edge as it is until disposed.</summary>
    internal sealed class Freeze(BlockEdge edge, string by) : IDisposable
    {
        private BlockEdge? _edge = edge;

        /// <summary>Lets the edge change again.</summary>
        public void Dispose()
        {
            if (Interlocked.Exchange(ref _edge, null) is { } frozen)
            {
                lock (frozen.Parent.Environment.TopologyLock)
                {
                    frozen._freezers.Remove(by);
                }
            }
        }
    }
}
