using BlockLayer.Primitives;

namespace BlockLayer.Tests.Images;

/// <summary>Hands every report on at once, on the thread that reports.</summary>
internal sealed class Reporter(Action<ByteProgress> onReport) : IProgress<ByteProgress>
{
    public void Report(ByteProgress value) => onReport(value);
}
