using BlockLayer.Primitives;

namespace BlockLayer.Cli.Commands;

/// <summary>
/// Keeps a command that only passes over tables as small as it is. The collector first looks at new objects when they fill the processor's cache, which may be
/// hundreds of megabytes, and no setting that a program can carry with it changes that.
/// </summary>
internal sealed class SmallHeap : IProgress<ByteProgress>
{
    private const long Budget = 4 << 20;

    private long _collectedAt;

    /// <summary>Collects what is new when there is much of it; next to nothing of it is alive, so this takes next to no time.</summary>
    public void Report(ByteProgress value)
    {
        long allocated = GC.GetTotalAllocatedBytes();
        if (allocated - _collectedAt > Budget)
        {
            _collectedAt = allocated;
            GC.Collect(0);
        }
    }
}
