using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Simulation;
using BlockLayer.Storage;

namespace BlockLayer.TestKit.Graph;

/// <summary>Environments without a disk, for tests of the graph. Buffers are counted, so that a test can tell when one is lost.</summary>
internal static class TestEnvironment
{
    /// <summary>Everything at once, on the calling thread.</summary>
    internal static BlockEnvironment Inline(TimeProvider? time = null) => new()
    {
        Files = new MemoryStorageProvider(),
        Work = InlineWorkScheduler.Instance,
        Time = time ?? TimeProvider.System,
        Buffers = new BufferPool(),
    };

    /// <summary>Everything in an order that a seed decides.</summary>
    internal static BlockEnvironment Of(SimulationScheduler scheduler) => new()
    {
        Files = new MemoryStorageProvider(),
        Work = scheduler.Work,
        Time = scheduler.Time,
        Buffers = new BufferPool(),
    };
}
