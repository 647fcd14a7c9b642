using BlockLayer.Errors;
using BlockLayer.Primitives;

namespace BlockLayer.Filters;

/// <summary>
/// A rule of a <see cref="FaultInjectionNode"/>: which operations it hits, and what happens to those: a delay, an error, a change that takes effect in part, or
/// several of these.
/// </summary>
/// <remarks>
/// As text, for command lines and tests (<see cref="Parse"/>): the operations, then words, comma-separated. <code>
/// write,first=3,every=5,error=nospace       the third, eighth, thirteenth ... write fails
/// flush,once,keep=0                         the first flush does nothing and reports success
/// write,range=1M+64K,keep=2,error=io        writes into those 64 KiB store two sectors and fail
/// read+status,latency=250ms                 slow answers
/// recordbacking,next-state=2;write,state=2,error=io    after the backing file was recorded, no write succeeds
/// </code></remarks>
public sealed record NodeFault
{
    /// <summary>Which operations.</summary>
    public NodeOperations Operations { get; init; } = NodeOperations.All;

    /// <summary>Only requests that touch this range; null: all. A flush and the events of a node's life touch every range.</summary>
    public ByteRange? Range { get; init; }

    /// <summary>The state of the filter in which the rule holds; null: all. A filter begins in state 1.</summary>
    public int? State { get; init; }

    /// <summary>The first matching operation that is hit, counted from 1.</summary>
    public int First { get; init; } = 1;

    /// <summary>From the first on, every so many matching operations one is hit.</summary>
    public int Every { get; init; } = 1;

    /// <summary>How many operations are hit in all.</summary>
    public int Count { get; init; } = int.MaxValue;

    /// <summary>How long a hit operation waits first.</summary>
    public TimeSpan Latency { get; init; }

    /// <summary>
    /// How many sectors of 512 bytes, from the front of a hit change, reach the node below; of a store from below whole (sub)clusters. Null: all of them, or none where there is an
    /// <see cref="Error"/>. Only for changes, and 0 for flushes, which then do nothing.
    /// </summary>
    public int? KeepSectors { get; init; }

    /// <summary>The error of a hit operation, after what it keeps was done; null: it succeeds.</summary>
    public BlockErrorKind? Error { get; init; }

    /// <summary>The state that the filter enters with a hit; null: it stays.</summary>
    public int? NextState { get; init; }

    /// <summary>Reads one rule.</summary>
    /// <exception cref="ArgumentException">The text is no rule; the message says which word and what is expected.</exception>
    public static NodeFault Parse(string text) => NodeFaultText.Parse(text);

    /// <summary>Reads rules that are separated by semicolons.</summary>
    /// <exception cref="ArgumentException">A part is no rule.</exception>
    public static IReadOnlyList<NodeFault> ParseAll(string text)
        => [.. text.Split(';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Select(NodeFaultText.Parse)];

    /// <summary>The rule as text that <see cref="Parse"/> reads.</summary>
    public override string ToString() => NodeFaultText.Format(this);

    /// <summary>True when it does something to what it hits.</summary>
    internal bool HasEffect => Error is not null || KeepSectors is not null || Latency > TimeSpan.Zero;

    /// <exception cref="ArgumentException">A number that makes no sense, or parts kept of what has none.</exception>
    internal void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(First, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(Every, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(Count);
        ArgumentOutOfRangeException.ThrowIfLessThan(Latency, TimeSpan.Zero);
        const NodeOperations Changes = NodeOperations.Write | NodeOperations.WriteZeroes | NodeOperations.Discard | NodeOperations.Populate;
        if (KeepSectors is { } kept)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(kept);
            NodeOperations divisible = kept == 0 ? Changes | NodeOperations.Flush : Changes;
            if ((Operations & ~divisible) != 0)
            {
                throw new ArgumentException($"{Operations & ~divisible} has no {kept} sectors to keep; only changes have parts, and a flush can keep nothing.");
            }
        }
    }
}
