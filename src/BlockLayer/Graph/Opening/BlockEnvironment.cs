using BlockLayer.Primitives;
using BlockLayer.Storage;

namespace BlockLayer.Graph;

/// <summary>
/// The world that nodes and jobs live in: files, CPU work and time. A simulation supplies its own and so
/// decides every order and every failure.
/// </summary>
public sealed record BlockEnvironment
{
    /// <summary>The world of this process: local files, the thread pool, the system's clock.</summary>
    public static BlockEnvironment Default { get; } = new()
    {
        Files = LocalStorageProvider.Instance,
        Work = ThreadPoolWorkScheduler.Instance,
        Time = TimeProvider.System,
    };

    /// <summary>Where files are.</summary>
    public required StorageProvider Files { get; init; }

    /// <summary>Where CPU work runs.</summary>
    public required WorkScheduler Work { get; init; }

    /// <summary>What time it is.</summary>
    public required TimeProvider Time { get; init; }

    /// <summary>Guards who is whose child, everywhere in this environment; held for moments, never across an await.</summary>
    internal Lock TopologyLock { get; } = new();

    /// <summary>Lets one change of the graph run at a time.</summary>
    internal AsyncLock GraphLock { get; } = new();

    /// <summary>Where I/O buffers come from.</summary>
    internal BufferPool Buffers { get; init; } = BufferPool.Shared;
}
