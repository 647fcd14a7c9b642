using BlockLayer.Storage;
using BlockLayer.TestKit;

namespace BlockLayer.Simulation.Tests.Crashes.Pulls;

/// <summary>Storage that answers one flush without carrying it out: the one with this number, from 0.</summary>
internal sealed class DroppedFlush(int number) : StorageHook
{
    /// <summary>Flushes asked for.</summary>
    internal int Count { get; private set; }

    public override ValueTask FlushAsync(BlockStorage file, CancellationToken cancellationToken)
        => Count++ == number ? ValueTask.CompletedTask : file.FlushAsync(cancellationToken);
}
