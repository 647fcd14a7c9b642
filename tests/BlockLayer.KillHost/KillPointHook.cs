using BlockLayer.Storage;
using BlockLayer.TestKit;

namespace BlockLayer.KillHost;

/// <summary>Stops the process at a call to the storage of the image that is filled.</summary>
internal sealed class KillPointHook(KillPoint point, int writesBefore, Report report) : StorageHook
{
    private int _writes; // interlocked
    private volatile bool _isHeaderChanged;

    public override async ValueTask WriteAsync(BlockStorage file, long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        bool changesHeader = await BackingFields.WouldChangeAsync(file, offset, data).ConfigureAwait(false);
        if (point == KillPoint.Copying ? Interlocked.Increment(ref _writes) > writesBefore : point == KillPoint.BeforeHeader && changesHeader)
        {
            report.Stop();
        }

        await file.WriteAsync(offset, data, cancellationToken).ConfigureAwait(false);
        _isHeaderChanged |= changesHeader;
        if (changesHeader && point == KillPoint.AfterHeader)
        {
            report.Stop();
        }
    }

    public override async ValueTask FlushAsync(BlockStorage file, CancellationToken cancellationToken)
    {
        bool flushesHeader = _isHeaderChanged;
        await file.FlushAsync(cancellationToken).ConfigureAwait(false);
        if (flushesHeader && point == KillPoint.AfterHeaderFlush)
        {
            report.Stop();
        }
    }
}
