using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Storage;

namespace BlockLayer.Filters;

/// <summary>
/// A filter that delays and fails requests as planned. A failed request never reaches the node below, so it has changed nothing. The first fault that
/// hits decides; every fault counts the requests that match it, hit or not.
/// </summary>
public sealed class FaultInjectionNode : FilterNode
{
    private readonly Lock _gate = new();
    private readonly List<Plan> _plans = []; // guarded by _gate

    /// <summary>Puts the filter on a node and takes over the caller's ownership of it.</summary>
    /// <param name="child">The node whose requests fail.</param>
    /// <param name="faults">What happens; more can be added later.</param>
    public FaultInjectionNode(BlockNode child, params IReadOnlyList<NodeFault> faults)
        : base(child.NodeName, child, Needs(child), ImagePermissions.ConsistentRead | ImagePermissions.WriteUnchanged)
    {
        foreach (NodeFault fault in faults)
        {
            Add(fault);
        }
    }

    /// <inheritdoc/>
    public override string DriverName => "fault-injection";

    /// <summary>Plans another fault; its count begins now.</summary>
    public void Add(NodeFault fault)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(fault.First, 1);
        lock (_gate)
        {
            _plans.Add(new Plan(fault));
        }
    }

    /// <summary>Forgets all faults; what is delayed already stays delayed.</summary>
    public void Clear()
    {
        lock (_gate)
        {
            _plans.Clear();
        }
    }

    private protected override async ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, ReadFlags flags, CancellationToken cancellationToken)
    {
        await MeetAsync(NodeOperations.Read, new ByteRange(offset, buffer.Length), cancellationToken).ConfigureAwait(false);
        await base.ReadCoreAsync(offset, buffer, flags, cancellationToken).ConfigureAwait(false);
    }

    private protected override async ValueTask WriteCoreAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        await MeetAsync(NodeOperations.Write, new ByteRange(offset, buffer.Length), cancellationToken).ConfigureAwait(false);
        await base.WriteCoreAsync(offset, buffer, flags, cancellationToken).ConfigureAwait(false);
    }

    private protected override async ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        await MeetAsync(NodeOperations.WriteZeroes, new ByteRange(offset, length), cancellationToken).ConfigureAwait(false);
        await base.WriteZeroesCoreAsync(offset, length, flags, cancellationToken).ConfigureAwait(false);
    }

    private protected override async ValueTask DiscardCoreAsync(long offset, long length, CancellationToken cancellationToken)
    {
        await MeetAsync(NodeOperations.Discard, new ByteRange(offset, length), cancellationToken).ConfigureAwait(false);
        await base.DiscardCoreAsync(offset, length, cancellationToken).ConfigureAwait(false);
    }

    private protected override async ValueTask FlushCoreAsync(CancellationToken cancellationToken)
    {
        await MeetAsync(NodeOperations.Flush, new ByteRange(0, long.MaxValue), cancellationToken).ConfigureAwait(false);
        await base.FlushCoreAsync(cancellationToken).ConfigureAwait(false);
    }

    private protected override async ValueTask PopulateCoreAsync(long offset, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
    {
        await MeetAsync(NodeOperations.Populate, new ByteRange(offset, buffer.Length), cancellationToken).ConfigureAwait(false);
        await base.PopulateCoreAsync(offset, buffer, cancellationToken).ConfigureAwait(false);
    }

    private protected override async ValueTask PopulateZeroesCoreAsync(long offset, long length, CancellationToken cancellationToken)
    {
        await MeetAsync(NodeOperations.Populate, new ByteRange(offset, length), cancellationToken).ConfigureAwait(false);
        await base.PopulateZeroesCoreAsync(offset, length, cancellationToken).ConfigureAwait(false);
    }

    private protected override async ValueTask<BlockStatus> GetStatusCoreAsync(long offset, long length, CancellationToken cancellationToken)
    {
        await MeetAsync(NodeOperations.Status, new ByteRange(offset, length), cancellationToken).ConfigureAwait(false);
        return await base.GetStatusCoreAsync(offset, length, cancellationToken).ConfigureAwait(false);
    }

    private static ImagePermissions Needs(BlockNode child)
        => child.IsReadOnly
            ? ImagePermissions.ConsistentRead
            : ImagePermissions.ConsistentRead | ImagePermissions.Write | ImagePermissions.WriteUnchanged | ImagePermissions.Resize;

    private async ValueTask MeetAsync(NodeOperations operation, ByteRange range, CancellationToken cancellationToken)
    {
        NodeFault? hit = null;
        lock (_gate)
        {
            foreach (Plan plan in _plans)
            {
                if (plan.Hits(operation, range))
                {
                    hit ??= plan.Fault;
                }
            }
        }

        if (hit is null)
        {
            return;
        }

        if (hit.Latency > TimeSpan.Zero)
        {
            await Pause.ForAsync(hit.Latency, Environment.Time, cancellationToken).ConfigureAwait(false);
        }

        if (hit.Error is { } kind)
        {
            throw Error(kind, $"A planned {kind} failure of {operation} on '{NodeName}'.", range.Offset);
        }
    }

    private sealed class Plan(NodeFault fault)
    {
        private long _seen;

        internal NodeFault Fault => fault;

        internal bool Hits(NodeOperations operation, ByteRange range)
        {
            if ((fault.Operations & operation) == 0 || (fault.Range is { } only && !only.Overlaps(range)))
            {
                return false;
            }

            _seen++;
            return _seen >= fault.First && _seen - fault.First < fault.Count;
        }
    }
}
