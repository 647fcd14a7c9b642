using BlockLayer.Storage;
using BlockLayer.TestKit;

namespace BlockLayer.KillHost;

/// <summary>Watches the storage of the image that a job copies into; when the disk was changed over to it, guests' flushes too.</summary>
internal sealed class CopyHook(KillStage stage, SwitchRecord record) : StorageHook
{
    public override ValueTask WriteAsync(BlockStorage file, long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        stage.OnCopyingWrite();
        return base.WriteAsync(file, offset, data, cancellationToken);
    }

    public override async ValueTask FlushAsync(BlockStorage file, CancellationToken cancellationToken)
    {
        bool isSwitched = record.IsMade;
        await base.FlushAsync(file, cancellationToken).ConfigureAwait(false);
        if (isSwitched)
        {
            stage.On(KillPoint.AfterSwitchFlush);
        }
    }
}
