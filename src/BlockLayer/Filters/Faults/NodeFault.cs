using BlockLayer.Errors;
using BlockLayer.Primitives;

namespace BlockLayer.Filters;

/// <summary>What <see cref="FaultInjectionNode"/> does to some requests: delay them, fail them, or both.</summary>
public sealed record NodeFault
{
    /// <summary>Which requests.</summary>
    public NodeOperations Operations { get; init; } = NodeOperations.All;

    /// <summary>Only requests that touch this range; null: all. A flush touches every range.</summary>
    public ByteRange? Range { get; init; }

    /// <summary>The first matching request that is hit, counted from 1.</summary>
    public int First { get; init; } = 1;

    /// <summary>How many matching requests are hit from there on.</summary>
    public int Count { get; init; } = int.MaxValue;

    /// <summary>The error of a hit request, before it reaches the node below; null: it is served.</summary>
    public BlockErrorKind? Error { get; init; }

    /// <summary>How long a hit request waits first.</summary>
    public TimeSpan Latency { get; init; }
}
