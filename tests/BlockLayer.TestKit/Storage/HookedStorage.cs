using BlockLayer.Storage;

namespace BlockLayer.TestKit;

/// <summary>An open file with a hook on its writes, flushes, changes of its lock and its close. Vectored writes come one buffer at a time.</summary>
internal sealed class HookedStorage(BlockStorage file, StorageHook hook) : BlockStorage
{
    public override string Name => file.Name;

    public override long Length => file.Length;

    public override bool IsReadOnly => file.IsReadOnly;

    public override StorageIdentity Identity => file.Identity;

    public override long? AllocatedLength => file.AllocatedLength;

    public override ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
        => file.ReadAsync(offset, buffer, cancellationToken);

    public override ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
        => hook.WriteAsync(file, offset, buffer, cancellationToken);

    public override ValueTask WriteZeroesAsync(long offset, long length, ZeroMode mode, CancellationToken cancellationToken)
        => file.WriteZeroesAsync(offset, length, mode, cancellationToken);

    public override ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken)
        => file.DiscardAsync(offset, length, cancellationToken);

    public override ValueTask FlushAsync(CancellationToken cancellationToken) => hook.FlushAsync(file, cancellationToken);

    public override ValueTask SetLengthAsync(long length, CancellationToken cancellationToken) => file.SetLengthAsync(length, cancellationToken);

    public override ValueTask<StorageExtent> GetExtentAsync(long offset, long length, CancellationToken cancellationToken)
        => file.GetExtentAsync(offset, length, cancellationToken);

    internal override ValueTask ChangeLockAsync(ImageLock wanted) => hook.ChangeLockAsync(file, wanted);

    public override ValueTask DisposeAsync() => hook.CloseAsync(file);
}
