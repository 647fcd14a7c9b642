using BlockLayer.Storage;
using BlockLayer.TestKit;

namespace BlockLayer.KillHost;

/// <summary>Watches the storage of an image that a job changes, for the stop at any call.</summary>
internal sealed class CallHook(KillStage stage) : StorageHook
{
    public override ValueTask WriteAsync(BlockStorage file, long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        stage.OnCall();
        return base.WriteAsync(file, offset, data, cancellationToken);
    }

    public override ValueTask FlushAsync(BlockStorage file, CancellationToken cancellationToken)
    {
        stage.OnCall();
        return base.FlushAsync(file, cancellationToken);
    }
}
