using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Storage;

namespace BlockLayer.Filters;

/// <summary>
/// A filter that delays, tears, loses and fails what goes through it, as planned. Of the rules that hit, the first with an effect decides, and those that only
/// change the state do so. Every rule counts the operations that match it, hit or not.
/// </summary>
/// <remarks>
/// The fault model: an operation that fails without keeping sectors never reaches the node below. One that keeps some has stored exactly those, in front, and nothing
/// behind them, whether it then fails or reports success. Reads are answered whole or fail. Time is that of the environment.
/// </remarks>
public sealed class FaultInjectionNode : FilterNode
{
    private const int SectorSize = 512;

    private static readonly ByteRange s_everything = new(0, long.MaxValue);

    private readonly Lock _gate = new();
    private readonly List<Plan> _plans = []; // guarded by _gate
    private int _state = 1;                  // guarded by _gate

    /// <summary>Puts the filter on a node and takes over the caller's ownership of it.</summary>
    /// <param name="child">The node whose requests fail.</param>
    /// <param name="faults">What happens; more can be added later.</param>
    /// <exception cref="ArgumentException">A rule makes no sense.</exception>
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

    /// <summary>Which of the rules that name a state hold; changed by rules and by hand.</summary>
    public int State
    {
        get
        {
            lock (_gate)
            {
                return _state;
            }
        }

        set
        {
            lock (_gate)
            {
                _state = value;
            }
        }
    }

    /// <summary>Plans another fault; its count begins now.</summary>
    /// <exception cref="ArgumentException">The rule makes no sense.</exception>
    public void Add(NodeFault fault)
    {
        fault.Validate();
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

    /// <summary>How many operations a rule has hit so far; the rule is compared by value.</summary>
    public int CountHits(NodeFault fault)
    {
        lock (_gate)
        {
            return _plans.Where(plan => plan.Fault == fault).Sum(static plan => plan.Hits);
        }
    }

    internal override async ValueTask RecordBackingAsync(BackingReference? reference, CancellationToken cancellationToken)
    {
        await MeetAsync(NodeOperations.RecordBacking, cancellationToken).ConfigureAwait(false);
        await base.RecordBackingAsync(reference, cancellationToken).ConfigureAwait(false);
    }

    private protected override async ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, ReadFlags flags, CancellationToken cancellationToken)
    {
        NodeFault? fault = await DelayAsync(NodeOperations.Read, new ByteRange(offset, buffer.Length), cancellationToken).ConfigureAwait(false);
        ThrowIfFailing(fault, NodeOperations.Read, offset);
        await base.ReadCoreAsync(offset, buffer, flags, cancellationToken).ConfigureAwait(false);
    }

    private protected override async ValueTask WriteCoreAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        NodeFault? fault = await DelayAsync(NodeOperations.Write, new ByteRange(offset, buffer.Length), cancellationToken).ConfigureAwait(false);
        int kept = (int)KeptOf(fault, new ByteRange(offset, buffer.Length), unit: 1);
        if (kept > 0)
        {
            WriteFlags how = kept < buffer.Length ? flags & ~WriteFlags.Compressed : flags; // a part is no whole cluster
            await base.WriteCoreAsync(offset, buffer[..kept], how, cancellationToken).ConfigureAwait(false);
        }

        ThrowIfFailing(fault, NodeOperations.Write, offset);
    }

    private protected override async ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        NodeFault? fault = await DelayAsync(NodeOperations.WriteZeroes, new ByteRange(offset, length), cancellationToken).ConfigureAwait(false);
        if (KeptOf(fault, new ByteRange(offset, length), unit: 1) is > 0 and long kept)
        {
            await base.WriteZeroesCoreAsync(offset, kept, flags, cancellationToken).ConfigureAwait(false);
        }

        ThrowIfFailing(fault, NodeOperations.WriteZeroes, offset);
    }

    private protected override async ValueTask DiscardCoreAsync(long offset, long length, CancellationToken cancellationToken)
    {
        NodeFault? fault = await DelayAsync(NodeOperations.Discard, new ByteRange(offset, length), cancellationToken).ConfigureAwait(false);
        if (KeptOf(fault, new ByteRange(offset, length), unit: 1) is > 0 and long kept)
        {
            await base.DiscardCoreAsync(offset, kept, cancellationToken).ConfigureAwait(false);
        }

        ThrowIfFailing(fault, NodeOperations.Discard, offset);
    }

    private protected override async ValueTask FlushCoreAsync(CancellationToken cancellationToken)
    {
        NodeFault? fault = await DelayAsync(NodeOperations.Flush, s_everything, cancellationToken).ConfigureAwait(false);
        ThrowIfFailing(fault, NodeOperations.Flush, offset: null);
        if (fault?.KeepSectors is null)
        {
            await base.FlushCoreAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    private protected override async ValueTask PopulateCoreAsync(long offset, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
    {
        NodeFault? fault = await DelayAsync(NodeOperations.Populate, new ByteRange(offset, buffer.Length), cancellationToken).ConfigureAwait(false);
        if ((int)KeptOf(fault, new ByteRange(offset, buffer.Length), Limits.SubclusterSize) is > 0 and int kept)
        {
            await base.PopulateCoreAsync(offset, buffer[..kept], cancellationToken).ConfigureAwait(false);
        }

        ThrowIfFailing(fault, NodeOperations.Populate, offset);
    }

    private protected override async ValueTask PopulateZeroesCoreAsync(long offset, long length, CancellationToken cancellationToken)
    {
        NodeFault? fault = await DelayAsync(NodeOperations.Populate, new ByteRange(offset, length), cancellationToken).ConfigureAwait(false);
        if (KeptOf(fault, new ByteRange(offset, length), Limits.SubclusterSize) is > 0 and long kept)
        {
            await base.PopulateZeroesCoreAsync(offset, kept, cancellationToken).ConfigureAwait(false);
        }

        ThrowIfFailing(fault, NodeOperations.Populate, offset);
    }

    private protected override async ValueTask<BlockStatus> GetStatusCoreAsync(long offset, long length, CancellationToken cancellationToken)
    {
        NodeFault? fault = await DelayAsync(NodeOperations.Status, new ByteRange(offset, length), cancellationToken).ConfigureAwait(false);
        ThrowIfFailing(fault, NodeOperations.Status, offset);
        return await base.GetStatusCoreAsync(offset, length, cancellationToken).ConfigureAwait(false);
    }

    private protected override async ValueTask ResizeCoreAsync(long length, ResizeOptions options, CancellationToken cancellationToken)
    {
        await MeetAsync(NodeOperations.Resize, cancellationToken).ConfigureAwait(false);
        await base.ResizeCoreAsync(length, options, cancellationToken).ConfigureAwait(false);
    }

    private protected override async ValueTask CloseCoreAsync()
    {
        await MeetAsync(NodeOperations.Close, CancellationToken.None).ConfigureAwait(false);
        await base.CloseCoreAsync().ConfigureAwait(false);
    }

    private static ImagePermissions Needs(BlockNode child)
        => child.IsReadOnly
            ? ImagePermissions.ConsistentRead
            : ImagePermissions.ConsistentRead | ImagePermissions.Write | ImagePermissions.WriteUnchanged | ImagePermissions.Resize;

    // An event has no parts: it takes place or fails.
    private async ValueTask MeetAsync(NodeOperations operation, CancellationToken cancellationToken)
        => ThrowIfFailing(await DelayAsync(operation, s_everything, cancellationToken).ConfigureAwait(false), operation, offset: null);

    // The rule that decides, after its delay; null: none does.
    private async ValueTask<NodeFault?> DelayAsync(NodeOperations operation, ByteRange range, CancellationToken cancellationToken)
    {
        NodeFault? hit = null;
        lock (_gate)
        {
            int state = _state;
            foreach (Plan plan in _plans)
            {
                if (plan.Matches(operation, range, state) && plan.IsDue && (hit is null || !plan.Fault.HasEffect))
                {
                    hit = plan.Fault.HasEffect ? plan.Fault : hit;
                    plan.Hits++;
                    _state = plan.Fault.NextState ?? _state;
                }
            }
        }

        if (hit is not null && hit.Latency > TimeSpan.Zero)
        {
            await Pause.ForAsync(hit.Latency, Environment.Time, cancellationToken).ConfigureAwait(false);
        }

        return hit;
    }

    // How many bytes of a change go on. Sectors are the disk's, so a change that begins inside one keeps the rest of it first.
    private static long KeptOf(NodeFault? fault, ByteRange range, int unit)
    {
        long all = fault?.Error is null ? range.Length : 0;
        if (fault?.KeepSectors is not { } sectors)
        {
            return all;
        }

        long end = Alignment.RoundDown(range.Offset, SectorSize) + ((long)sectors * SectorSize);
        long kept = Math.Clamp(end - range.Offset, 0, range.Length);
        return kept == range.Length ? kept : Alignment.RoundDown(kept, Math.Max(1, unit));
    }

    private void ThrowIfFailing(NodeFault? fault, NodeOperations operation, long? offset)
    {
        if (fault?.Error is { } kind)
        {
            throw Error(kind, $"A planned {kind} failure of {operation} on '{NodeName}'.", offset);
        }
    }

    /// <summary>A rule and what it has met; guarded by the gate.</summary>
    private sealed class Plan(NodeFault fault)
    {
        private long _seen;

        internal NodeFault Fault => fault;

        internal int Hits { get; set; }

        /// <summary>True when the operation seen last is one of those that the rule hits.</summary>
        internal bool IsDue => _seen >= fault.First && (_seen - fault.First) % fault.Every == 0 && (_seen - fault.First) / fault.Every < fault.Count;

        /// <summary>Counts an operation if the rule is about it.</summary>
        internal bool Matches(NodeOperations operation, ByteRange range, int state)
        {
            bool matches = (fault.Operations & operation) != 0
                && (fault.Range is not { } only || only.Overlaps(range))
                && (fault.State is not { } wanted || wanted == state);
            _seen += matches ? 1 : 0;
            return matches;
        }
    }
}
