using BlockLayer.Graph;
using BlockLayer.Storage;

namespace BlockLayer.Filters;

/// <summary>
/// A filter that holds requests back so that its group keeps to its limits. Zeroes, discards and stores of copies count as writes of their length; flushes and
/// questions are free. A drain or a close lets go who waits; what they use up is paid by those that follow.
/// </summary>
public sealed class ThrottleNode : FilterNode
{
    private readonly ThrottleGroup.Member _member;

    /// <summary>Puts the filter on a node and takes over the caller's ownership of it.</summary>
    /// <param name="child">The node.</param>
    /// <param name="group">Whose limits hold; several nodes may share them.</param>
    public ThrottleNode(BlockNode child, ThrottleGroup group)
        : base(child.NodeName, child, Needs(child), ImagePermissions.ConsistentRead | ImagePermissions.WriteUnchanged)
    {
        Group = group;
        _member = group.Join();
    }

    /// <inheritdoc/>
    public override string DriverName => "throttle";

    /// <summary>The group, to change its limits.</summary>
    public ThrottleGroup Group { get; }

    internal override void BeginHaste() => Group.BeginHaste(_member);

    internal override void EndHaste() => Group.EndHaste(_member);

    private protected override ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, ReadFlags flags, CancellationToken cancellationToken)
    {
        ValueTask turn = Group.AdmitAsync(_member, isWrite: false, buffer.Length, cancellationToken);
        return turn.IsCompletedSuccessfully
            ? base.ReadCoreAsync(offset, buffer, flags, cancellationToken)
            : ReadLaterAsync(turn, offset, buffer, flags, cancellationToken);
    }

    private protected override ValueTask WriteCoreAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        ValueTask turn = TurnToWriteAsync(buffer.Length, cancellationToken);
        return turn.IsCompletedSuccessfully
            ? base.WriteCoreAsync(offset, buffer, flags, cancellationToken)
            : WriteLaterAsync(turn, offset, buffer, flags, cancellationToken);
    }

    private protected override async ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        await TurnToWriteAsync(length, cancellationToken).ConfigureAwait(false);
        await base.WriteZeroesCoreAsync(offset, length, flags, cancellationToken).ConfigureAwait(false);
    }

    private protected override async ValueTask DiscardCoreAsync(long offset, long length, CancellationToken cancellationToken)
    {
        await TurnToWriteAsync(length, cancellationToken).ConfigureAwait(false);
        await base.DiscardCoreAsync(offset, length, cancellationToken).ConfigureAwait(false);
    }

    private protected override async ValueTask PopulateCoreAsync(long offset, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
    {
        await TurnToWriteAsync(buffer.Length, cancellationToken).ConfigureAwait(false);
        await base.PopulateCoreAsync(offset, buffer, cancellationToken).ConfigureAwait(false);
    }

    private protected override async ValueTask PopulateZeroesCoreAsync(long offset, long length, CancellationToken cancellationToken)
    {
        await TurnToWriteAsync(length, cancellationToken).ConfigureAwait(false);
        await base.PopulateZeroesCoreAsync(offset, length, cancellationToken).ConfigureAwait(false);
    }

    private protected override ValueTask CloseCoreAsync()
    {
        Group.Leave();
        return base.CloseCoreAsync();
    }

    private async ValueTask ReadLaterAsync(ValueTask turn, long offset, Memory<byte> buffer, ReadFlags flags, CancellationToken cancellationToken)
    {
        await turn.ConfigureAwait(false);
        await base.ReadCoreAsync(offset, buffer, flags, cancellationToken).ConfigureAwait(false);
    }

    private async ValueTask WriteLaterAsync(ValueTask turn, long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        await turn.ConfigureAwait(false);
        await base.WriteCoreAsync(offset, buffer, flags, cancellationToken).ConfigureAwait(false);
    }

    private ValueTask TurnToWriteAsync(long length, CancellationToken cancellationToken) => Group.AdmitAsync(_member, isWrite: true, length, cancellationToken);

    private static ImagePermissions Needs(BlockNode child)
        => child.IsReadOnly
            ? ImagePermissions.ConsistentRead
            : ImagePermissions.ConsistentRead | ImagePermissions.Write | ImagePermissions.WriteUnchanged | ImagePermissions.Resize;
}
