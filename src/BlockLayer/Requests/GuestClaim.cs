using BlockLayer.Primitives;

namespace BlockLayer.Requests;

/// <summary>
/// A guest write's claim on a range: shared with other guests, exclusive against copies. It grows upwards as the units in its way
/// become free. Dispose it when the write is over.
/// </summary>
internal sealed class GuestClaim : IDisposable
{
    private readonly CopyQueue _queue;

    internal GuestClaim(CopyQueue queue, ByteRange range)
    {
        _queue = queue;
        Range = range;
        Held = new ByteRange(range.Offset, 0);
    }

    /// <summary>All that the write touches, in whole units.</summary>
    internal ByteRange Range { get; }

    /// <summary>What is claimed so far, from the start of the range; guarded by the queue's lock.</summary>
    internal ByteRange Held { get; set; }

    /// <summary>Its place in the queue's list; guarded by the queue's lock.</summary>
    internal LinkedListNode<GuestClaim>? Node { get; set; }

    /// <summary>Set while it waits for a unit; guarded by the queue's lock.</summary>
    internal Waiter<bool>? Waiter { get; set; }

    /// <summary>Lets the range go; later calls do nothing.</summary>
    public void Dispose() => _queue.Leave(this);
}
