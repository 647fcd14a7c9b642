using System.Diagnostics;
using BlockLayer.Errors;
using BlockLayer.Storage;

namespace BlockLayer.Graph;

// Topology: who is whose child, who allows whom what, and the drain that every change happens under.
public abstract partial class BlockNode
{
    private int _closings;              // guarded by the topology lock; how many drains keep the door closed
    private Primitives.Completion? _reopened; // guarded by the topology lock; set while the door is closed

    /// <summary>Makes <paramref name="child"/> a child and takes over the caller's ownership of it.</summary>
    /// <exception cref="BlockLayerException">Conflict: another parent does not share what is needed, or uses what would not be shared; ReadOnly: writing is needed and the child cannot be written.</exception>
    private protected BlockEdge Attach(BlockNode child, EdgeRole role, ImagePermissions needs, ImagePermissions shares)
    {
        var edge = new BlockEdge(this, child, role, needs, shares);
        lock (Environment.TopologyLock)
        {
            child.AdmitParentLocked(edge);
            _children.Add(edge);
            if (role == EdgeRole.Backing)
            {
                Volatile.Write(ref _backingEdge, edge);
            }
        }

        return edge;
    }

    /// <summary>
    /// True while a job is about to put a backing file below an image that may have none yet: what is allocated stays so, and zeroes are said where leaving a range
    /// unallocated would do now. Changes within a <see cref="GraphChange"/> that has drained the node.
    /// </summary>
    internal bool ExpectsBacking { get; set; }

    /// <summary>Makes <paramref name="backing"/> the backing node and takes over the caller's ownership of it. Nothing is recorded in the image.</summary>
    internal void AttachBacking(BlockNode backing)
    {
        const ImagePermissions Reads = ImagePermissions.ConsistentRead;
        Debug.Assert(BackingEdge is null, "a node has one backing node at most");
        Attach(backing, EdgeRole.Backing, Reads, Reads | ImagePermissions.WriteUnchanged);
    }

    /// <summary>
    /// Makes sure that <see cref="RecordBackingAsync"/> will not fail for want of room or support. Also asked of an image that is open read-only: a job makes it writable
    /// when it has something to record.
    /// </summary>
    /// <param name="reference">The reference to record; null to record that there is none.</param>
    /// <exception cref="BlockLayerException">Unsupported or NoSpace: it cannot be recorded, and why.</exception>
    internal virtual void ThrowIfCannotRecordBacking(BackingReference? reference)
        => throw Error(BlockErrorKind.Unsupported, $"'{NodeName}' ({DriverName}) records no backing file.");

    /// <summary>
    /// True from a write of the header that failed until a flush, or another change of the header, has put back what was there: on disk the image may name another backing
    /// file than <see cref="BackingReference"/> meanwhile.
    /// </summary>
    internal virtual bool IsHeaderUncertain => false;

    /// <summary>
    /// Changes the backing file that the image records, so that a crash leaves the old reference or the new one: durable on return, unchanged on failure.
    /// What the node reads from is not touched.
    /// </summary>
    internal virtual ValueTask RecordBackingAsync(BackingReference? reference, CancellationToken cancellationToken)
        => throw Error(BlockErrorKind.Unsupported, $"'{NodeName}' ({DriverName}) records no backing file.");

    /// <summary>Lets a child go: the edge disappears and its ownership of the child ends.</summary>
    internal async ValueTask DetachAsync(BlockEdge edge)
    {
        BlockNode child;
        lock (Environment.TopologyLock)
        {
            edge.ThrowIfFrozen();
            child = UnlinkLocked(edge);
        }

        await child.DisposeAsync().ConfigureAwait(false);
    }

    /// <summary>
    /// Points an edge of this node at another child, whose ownership passes to the edge. The caller has drained this node, and
    /// receives the ownership of the previous child.
    /// </summary>
    internal BlockNode ReplaceChild(BlockEdge edge, BlockNode replacement)
    {
        lock (Environment.TopologyLock)
        {
            edge.ThrowIfFrozen();
            replacement.ThrowIfRefusedLocked(edge, edge.Needs, edge.Shares);
            BlockNode previous = edge.Child;
            previous.DismissParentLocked(edge);
            edge.Child = replacement;
            replacement.AdmitParentLocked(edge);
            return previous;
        }
    }

    /// <summary>Makes sure that <see cref="ReplaceChild"/> would succeed now; without a <paramref name="replacement"/>, that the edge may go.</summary>
    /// <exception cref="BlockLayerException">Conflict: the edge is frozen, or another user of the replacement does not share what the edge needs.</exception>
    internal void ThrowIfCannotReplaceChild(BlockEdge edge, BlockNode? replacement)
    {
        lock (Environment.TopologyLock)
        {
            edge.ThrowIfFrozen();
            replacement?.ThrowIfRefusedLocked(edge, edge.Needs, edge.Shares);
        }
    }

    /// <summary>Changes what an edge needs and shares, if all other parents of its child agree.</summary>
    internal void ChangePermissions(BlockEdge edge, ImagePermissions needs, ImagePermissions shares)
    {
        lock (Environment.TopologyLock)
        {
            edge.Child.ThrowIfRefusedLocked(edge, needs, shares);
            (edge.Needs, edge.Shares) = (needs, shares);
            edge.Child.RefreshDoor();
        }
    }

    /// <summary>Drains this node for an operation of its own.</summary>
    /// <exception cref="BlockLayerException">Conflict: the last owner let the node go before it was its turn.</exception>
    private protected async ValueTask<GraphChange> BeginChangeAsync(CancellationToken cancellationToken)
    {
        GraphChange change = await GraphChange.BeginAsync(this, cancellationToken).ConfigureAwait(false);
        if (!IsDisposed)
        {
            return change;
        }

        change.Dispose();
        throw Error(BlockErrorKind.Conflict, $"'{NodeName}' was closed before it was its turn: its disk goes on with another image.");
    }

    /// <summary>As <see cref="BeginChangeAsync"/>, for what would pull the ground from under a job that works with the image.</summary>
    /// <param name="what">What could be done if nothing were in the way; completes "..., ... when the job is over".</param>
    /// <param name="cancellationToken">Honoured while it waits for another change.</param>
    /// <exception cref="BlockLayerException">ReadOnly, perhaps only since it waited; Conflict: a job works with the image, or the last owner let it go.</exception>
    private protected async ValueTask<GraphChange> BeginUnclaimedChangeAsync(string what, CancellationToken cancellationToken)
    {
        GraphChange change = await BeginChangeAsync(cancellationToken).ConfigureAwait(false);
        bool isReadOnly = IsReadOnly; // a change that came first may have put an overlay on the image
        lock (Environment.TopologyLock)
        {
            if (Claims.Count == 0 && !isReadOnly)
            {
                return change;
            }
        }

        change.Dispose();
        throw isReadOnly
            ? Error(BlockErrorKind.ReadOnly, $"'{NodeName}' is read-only.")
            : Error(BlockErrorKind.Conflict, $"A job works with '{NodeName}'; {what} when the job is over.");
    }

    /// <summary>Closes the door once more; requests from outside wait until every closing is undone.</summary>
    internal void CloseDoor()
    {
        lock (Environment.TopologyLock)
        {
            if (_closings++ == 0)
            {
                _reopened = new Primitives.Completion();
                SetDoorFlag(DoorFlags.Closed, set: true);
            }
        }
    }

    /// <summary>Undoes one <see cref="CloseDoor"/>.</summary>
    internal void OpenDoor()
    {
        Primitives.Completion? reopened = null;
        lock (Environment.TopologyLock)
        {
            if (--_closings == 0)
            {
                SetDoorFlag(DoorFlags.Closed, set: false);
                (reopened, _reopened) = (_reopened, null);
            }
        }

        reopened?.Complete();
    }

    private BlockNode UnlinkLocked(BlockEdge edge)
    {
        _children.Remove(edge);
        if (edge == _backingEdge)
        {
            Volatile.Write(ref _backingEdge, null);
        }

        edge.Child.DismissParentLocked(edge);
        return edge.Child;
    }

    private void AdmitParentLocked(BlockEdge edge)
    {
        ThrowIfRefusedLocked(edge, edge.Needs, edge.Shares);
        _parents.Add(edge);
        RefreshDoor();
    }

    // Asked before anything changes: an edge that is taken away to see whether it could come back leaves the door open to others meanwhile.
    private void ThrowIfRefusedLocked(BlockEdge edge, ImagePermissions needs, ImagePermissions shares)
    {
        const ImagePermissions Writes = ImagePermissions.Write | ImagePermissions.WriteUnchanged | ImagePermissions.Resize;
        if (IsReadOnly && (needs & Writes) != 0)
        {
            throw Error(BlockErrorKind.ReadOnly, $"'{edge.Parent.NodeName}' needs to write '{NodeName}', which is open read-only.");
        }

        foreach (BlockEdge other in _parents)
        {
            if (other != edge)
            {
                ThrowIfRefused(edge, other, needs & ~other.Shares);
                ThrowIfRefused(other, edge, other.Needs & ~shares);
            }
        }
    }

    private void DismissParentLocked(BlockEdge edge)
    {
        _parents.Remove(edge);
        RefreshDoor();
    }

    private void ThrowIfRefused(BlockEdge user, BlockEdge owner, ImagePermissions refused)
    {
        if (refused != ImagePermissions.None)
        {
            throw Error(
                BlockErrorKind.Conflict,
                $"'{user.Parent.NodeName}' needs {refused} on '{NodeName}', which '{owner.Parent.NodeName}' uses as its {owner.Role} child and does not share.");
        }
    }

    // What requests from outside may do is what every parent shares: a backing file is not written past its overlay.
    private void RefreshDoor()
    {
        ImagePermissions shared = ImagePermissions.All;
        foreach (BlockEdge edge in _parents)
        {
            shared &= edge.Shares;
        }

        if (IsReadOnly)
        {
            shared &= ImagePermissions.ConsistentRead;
        }

        SetDoorFlag(DoorFlags.NoWrite, (shared & ImagePermissions.Write) == 0);
        SetDoorFlag(DoorFlags.NoWriteUnchanged, (shared & ImagePermissions.WriteUnchanged) == 0);
        SetDoorFlag(DoorFlags.NoResize, (shared & ImagePermissions.Resize) == 0);
    }

    private BlockLayerException Refused(ImagePermissions permission, string what)
    {
        if (IsReadOnly)
        {
            return Error(BlockErrorKind.ReadOnly, $"'{NodeName}' is open read-only and cannot be {what}.");
        }

        BlockEdge? owner = Parents.FirstOrDefault(edge => (edge.Shares & permission) == 0);
        return Error(BlockErrorKind.Conflict, $"'{NodeName}' cannot be {what}: '{owner?.Parent.NodeName}' uses it as its {owner?.Role} child.");
    }
}
