using BlockLayer.Storage;

namespace BlockLayer.TestKit;

/// <summary>A file whose calls go by a <see cref="Script"/>; what it lets through, another file carries out. It is not closed while a call is inside.</summary>
internal sealed class ScriptedStorage(BlockStorage content, Script script) : BlockStorage
{
    private int _inside;

    public override string Name => content.Name;

    public override long Length => content.Length;

    public override bool IsReadOnly => content.IsReadOnly;

    public override StorageIdentity Identity => content.Identity;

    internal bool IsClosed { get; private set; }

    public override ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
        => CarryOutAsync(new("read", offset, buffer.Length), () => content.ReadAsync(offset, buffer, cancellationToken));

    public override ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
        => CarryOutAsync(new("write", offset, buffer.Length), () => content.WriteAsync(offset, buffer, cancellationToken));

    public override ValueTask WriteZeroesAsync(long offset, long length, ZeroMode mode, CancellationToken cancellationToken)
        => CarryOutAsync(new("zero", offset, length), () => content.WriteZeroesAsync(offset, length, mode, cancellationToken));

    public override ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken)
        => CarryOutAsync(new("discard", offset, length), () => content.DiscardAsync(offset, length, cancellationToken));

    public override ValueTask FlushAsync(CancellationToken cancellationToken)
        => CarryOutAsync(new("flush"), () => content.FlushAsync(cancellationToken));

    public override ValueTask SetLengthAsync(long length, CancellationToken cancellationToken)
        => CarryOutAsync(new("resize", length), () => content.SetLengthAsync(length, cancellationToken));

    public override ValueTask<StorageExtent> GetExtentAsync(long offset, long length, CancellationToken cancellationToken)
        => content.GetExtentAsync(offset, length, cancellationToken);

    public override ValueTask DisposeAsync()
    {
        if (Volatile.Read(ref _inside) != 0)
        {
            throw new InvalidOperationException($"{_inside} calls are inside '{Name}' while it is closed.");
        }

        IsClosed = true;
        return content.DisposeAsync();
    }

    private async ValueTask CarryOutAsync(ScriptedCall call, Func<ValueTask> action)
    {
        ObjectDisposedException.ThrowIf(IsClosed, this);
        Interlocked.Increment(ref _inside);
        try
        {
            await script.ReceiveAsync(call);
            await action();
        }
        finally
        {
            Interlocked.Decrement(ref _inside);
        }
    }
}
