using BlockLayer.Storage;
using BlockLayer.TestKit;

namespace BlockLayer.KillHost;

/// <summary>Watches the storage of the image whose header a job changes in the end.</summary>
internal sealed class HeaderHook(KillStage stage) : StorageHook
{
    private volatile bool _isChanged;

    public override async ValueTask WriteAsync(BlockStorage file, long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        bool changes = await BackingFields.WouldChangeAsync(file, offset, data).ConfigureAwait(false);
        if (changes)
        {
            stage.On(KillPoint.BeforeSwitch);
        }

        await base.WriteAsync(file, offset, data, cancellationToken).ConfigureAwait(false);
        _isChanged |= changes;
        if (changes)
        {
            stage.On(KillPoint.AfterSwitch);
        }
    }

    public override async ValueTask FlushAsync(BlockStorage file, CancellationToken cancellationToken)
    {
        bool flushesHeader = _isChanged;
        await base.FlushAsync(file, cancellationToken).ConfigureAwait(false);
        if (flushesHeader)
        {
            stage.On(KillPoint.AfterSwitchFlush);
        }
    }
}
