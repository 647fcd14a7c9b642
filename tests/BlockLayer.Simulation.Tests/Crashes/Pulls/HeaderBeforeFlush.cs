using BlockLayer.Storage;
using BlockLayer.TestKit;

namespace BlockLayer.Simulation.Tests.Crashes.Pulls;

/// <summary>
/// Turns a pull into one that writes the header first and flushes what was copied afterwards: every flush before the header's change is held back.
/// </summary>
internal sealed class HeaderBeforeFlush : StorageHook
{
    private bool _isChanged;

    public override async ValueTask WriteAsync(BlockStorage file, long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        _isChanged |= await BackingFields.WouldChangeAsync(file, offset, data);
        await file.WriteAsync(offset, data, cancellationToken);
    }

    public override ValueTask FlushAsync(BlockStorage file, CancellationToken cancellationToken)
        => _isChanged ? file.FlushAsync(cancellationToken) : ValueTask.CompletedTask;
}
