using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Requests;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;

namespace BlockLayer.Tests.Filters;

/// <summary>An empty image over a full base, with hand-held steps on both, under a copy-on-read filter.</summary>
internal sealed class CopyFixture : IAsyncDisposable
{
    internal const int Unit = 64 * 1024;
    internal const int Length = 16 * Unit;
    internal const int BaseWriter = 1;

    internal CopyFixture(CopyStrategy? strategy = null, long memory = 16 * Unit, int cluster = Unit, NodeAccess access = NodeAccess.ReadWrite)
    {
        Environment = TestEnvironment.Inline();
        Base = new MemoryOverlayNode("base", Length, Unit, Environment);
        Base.Fill(0, SectorStamp.Of(0, Length, BaseWriter));
        Image = new MemoryOverlayNode("image", Length, cluster, Environment, Base, access) { Steps = Steps };
        Base.Steps = Source;
        Filter = CopyOnReadNode.Create(Image, bottom: null, new CopyOnReadOptions { Strategy = strategy ?? CopyStrategy.Cancel, MemoryLimit = memory });
    }

    internal BlockEnvironment Environment { get; }

    internal MemoryOverlayNode Base { get; }

    internal MemoryOverlayNode Image { get; }

    /// <summary>Steps inside the image.</summary>
    internal HeldSteps Steps { get; } = new();

    /// <summary>Steps inside the base: its reads are fetches and reads through.</summary>
    internal HeldSteps Source { get; } = new();

    internal CopyOnReadNode Filter { get; }

    /// <summary>Reads and tells who wrote each sector.</summary>
    internal async Task<int[]> ReadAsync(long offset, int length, CancellationToken token = default)
    {
        byte[] buffer = new byte[length];
        await Filter.ReadAsync(offset, buffer, ReadFlags.None, token);
        return [.. Enumerable.Range(0, length / 512).Select(i => SectorStamp.WriterOf(buffer.AsSpan(i * 512), offset + (i * 512L)))];
    }

    internal Task WriteAsync(long offset, int length, int writer, CancellationToken token = default)
        => Filter.WriteAsync(offset, SectorStamp.Of(offset, length, writer), WriteFlags.None, token).AsTask();

    internal async Task<bool> IsAllocatedAsync(long offset)
        => (await Image.GetStatusAsync(Origin.Edge, offset, 1, StatusDepth.Node, CancellationToken.None)).IsAllocated;

    internal ValueTask<CopyOutcome> CopyUpAsync(long offset, int length)
        => Filter.CopyUpAsync(Origin.Door, new ByteRange(offset, length), length, CancellationToken.None);

    public ValueTask DisposeAsync() => Filter.DisposeAsync();
}
