using BlockLayer.Storage;

namespace BlockLayer.Graph;

/// <summary>
/// A node that shows another one: it forwards everything, and a filter overrides only what it changes. Its length, limits and status are the child's.
/// </summary>
public abstract class FilterNode : BlockNode
{
    /// <summary>Puts a filter on <paramref name="child"/> and takes over the caller's ownership of it.</summary>
    private protected FilterNode(string nodeName, BlockNode child, ImagePermissions needs, ImagePermissions shares)
        : base(nodeName, child.Environment, child.IsReadOnly ? NodeAccess.ReadOnly : NodeAccess.ReadWrite)
    {
        Filtered = Attach(child, EdgeRole.Filtered, needs, shares);
        TakeOverFrom(child);
    }

    /// <inheritdoc/>
    public override string? Path => Filtered.Child.Path;

    /// <inheritdoc/>
    public override BlockNode? Backing => Filtered.Child.Backing;

    /// <inheritdoc/>
    public override BackingReference? BackingReference => Filtered.Child.BackingReference;

    /// <summary>The edge to what the filter shows.</summary>
    internal BlockEdge Filtered { get; }

    /// <inheritdoc/>
    public override BlockNode SkipFilters() => Filtered.Child.SkipFilters();

    internal override void ThrowIfCannotRecordBacking(BackingReference? reference) => Filtered.Child.ThrowIfCannotRecordBacking(reference);

    internal override ValueTask RecordBackingAsync(BackingReference? reference, CancellationToken cancellationToken)
        => Filtered.Child.RecordBackingAsync(reference, cancellationToken);

    /// <summary>Points the filter at another node; the filter, and so what stands above it, is drained. Returns the previous child, whose ownership passes to the caller.</summary>
    internal BlockNode Refilter(BlockNode child)
    {
        BlockNode previous = ReplaceChild(Filtered, child);
        TakeOverAgain();
        return previous;
    }

    /// <summary>Takes over length and limits again, here and in the filters above: what they show was replaced. The caller has drained them.</summary>
    internal void TakeOverAgain()
    {
        TakeOverFrom(Filtered.Child);
        foreach (BlockEdge edge in Parents)
        {
            (edge.Parent as FilterNode)?.TakeOverAgain();
        }
    }

    private protected override bool GrowsOnWrite => Filtered.Child.GrowsBelow;

    private protected override ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, ReadFlags flags, CancellationToken cancellationToken)
        => Filtered.ReadAsync(offset, buffer, cancellationToken, flags);

    private protected override ValueTask WriteCoreAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        ValueTask write = Filtered.WriteAsync(offset, buffer, cancellationToken, flags);
        return offset + buffer.Length <= Length ? write : GrowAfterAsync(write, offset + buffer.Length);
    }

    private protected override ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        ValueTask write = Filtered.WriteZeroesAsync(offset, length, flags, cancellationToken);
        return offset + length <= Length ? write : GrowAfterAsync(write, offset + length);
    }

    private protected override ValueTask DiscardCoreAsync(long offset, long length, CancellationToken cancellationToken)
        => Filtered.DiscardAsync(offset, length, cancellationToken);

    private protected override ValueTask FlushCoreAsync(CancellationToken cancellationToken) => Filtered.FlushAsync(cancellationToken);

    private protected override ValueTask<BlockStatus> GetStatusCoreAsync(long offset, long length, CancellationToken cancellationToken)
        => Filtered.GetStatusAsync(offset, length, StatusDepth.Node, cancellationToken);

    private protected override ValueTask PopulateCoreAsync(long offset, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
        => Filtered.PopulateAsync(offset, buffer, cancellationToken);

    private protected override ValueTask PopulateZeroesCoreAsync(long offset, long length, CancellationToken cancellationToken)
        => Filtered.PopulateZeroesAsync(offset, length, cancellationToken);

    private protected override ValueTask ResizeCoreAsync(long length, ResizeOptions options, CancellationToken cancellationToken)
        => Filtered.ResizeAsync(length, options, cancellationToken); // the child tells its new length

    private protected override void OnChildLengthChanged(BlockEdge edge) => SetLength(edge.Child.Length);

    private async ValueTask GrowAfterAsync(ValueTask write, long end)
    {
        await write.ConfigureAwait(false);
        RaiseLength(end);
    }

    private void TakeOverFrom(BlockNode child)
    {
        SetLength(child.Length);
        SetLimits(child.Limits with { RequestAlignment = 1 }); // the child aligns for itself
    }
}
