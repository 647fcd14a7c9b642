namespace BlockLayer.Graph;

// A node that was opened read-only begins to be written, and ceases to be: see NodeReopen, which alone calls this. The node and everything above it is drained.
public abstract partial class BlockNode
{
    /// <summary>Who has made the node writable; null for one that was opened writable, or is read-only. Changes within a <see cref="GraphChange"/>.</summary>
    internal NodeReopen.Uses? WritableFor { get; set; }

    /// <summary>True once the last owner has let the node go.</summary>
    internal bool IsDisposed => (Volatile.Read(ref _door) & (int)DoorFlags.Disposed) != 0;

    /// <summary>Makes the node one that can be written; the nodes it keeps its bytes in are already. On failure nothing has changed.</summary>
    /// <exception cref="Errors.BlockLayerException">Unsupported, Corrupt, Denied, Conflict, ReadOnly, Io: it cannot be written, and why.</exception>
    internal async ValueTask BeginWritingAsync(CancellationToken cancellationToken)
    {
        SetAccess(NodeAccess.ReadWrite);
        try
        {
            await BeginWritingCoreAsync(cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            await EndWritingAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Makes the node read-only. What it held is on disk, or given up.</summary>
    internal ValueTask EndWritingAsync()
    {
        SetAccess(NodeAccess.ReadOnly);
        return EndWritingCoreAsync();
    }

    /// <summary>
    /// For who is about to destroy something in order to put there what the node holds. Asks for what was not given when the node was opened, of this node alone
    /// (<see cref="BackingChain.ThrowIfNotWithinReach"/> asks a chain); whether the storage can be read shows only then.
    /// </summary>
    /// <exception cref="Errors.BlockLayerException">Denied: the data lies in a file that was not opened, or is encrypted and was opened without its passphrase.</exception>
    internal virtual void ThrowIfNotWithinReach()
    {
    }

    /// <summary>Makes sure that <see cref="EndWritingAsync"/> will not fail for a lock that cannot change. The node is not changed.</summary>
    /// <exception cref="Errors.BlockLayerException">Unsupported, Conflict: the storage holds no lock, or cannot change it.</exception>
    internal virtual ValueTask ThrowIfCannotEndWritingAsync() => ValueTask.CompletedTask;

    /// <summary>
    /// Brings everything to disk that the node holds in memory, and leaves on disk what a clean close leaves. On failure the node can be written as before.
    /// </summary>
    /// <exception cref="Errors.BlockLayerException">NoSpace, Io, Corrupt.</exception>
    internal virtual ValueTask SettleToReadAsync() => ValueTask.CompletedTask;

    /// <summary>Makes what only a writable node needs. <see cref="IsReadOnly"/> is false already; if this fails, <see cref="EndWritingCoreAsync"/> follows.</summary>
    private protected virtual ValueTask BeginWritingCoreAsync(CancellationToken cancellationToken)
        => throw Error(Errors.BlockErrorKind.Unsupported, $"'{NodeName}' ({DriverName}) cannot begin to be written while it is open.");

    /// <summary>Lets go of what only a writable node needs, as far as it was made. <see cref="IsReadOnly"/> is true already.</summary>
    private protected virtual ValueTask EndWritingCoreAsync() => ValueTask.CompletedTask;

    private void SetAccess(NodeAccess access)
    {
        lock (Environment.TopologyLock)
        {
            IsReadOnly = access == NodeAccess.ReadOnly;
            RefreshDoor();
        }
    }
}
