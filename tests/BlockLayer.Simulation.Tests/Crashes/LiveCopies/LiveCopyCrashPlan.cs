namespace BlockLayer.Simulation.Tests.Crashes.LiveCopies;

/// <summary>What is copied, and how.</summary>
/// <param name="Kind"><c>full</c>, <c>top</c>, <c>none</c> or <c>commit</c>; with <c>-cancelled</c>, softly cancelled instead of completed.</param>
/// <param name="Format">Of the target, or the base.</param>
/// <param name="IsBlocking">Whether guests' writes go to both sides from the beginning.</param>
internal sealed record LiveCopyCrashPlan(string Kind, string Format, bool IsBlocking)
{
    /// <summary>What each of two guests does.</summary>
    internal int RequestsPerGuest { get; init; } = 10;

    /// <summary>Breaks the target on purpose: it says that it has flushed.</summary>
    internal bool DropsTargetFlushes { get; init; }

    internal bool IsCommit => Kind.StartsWith("commit", StringComparison.Ordinal);

    internal bool IsCancelled => Kind.EndsWith("-cancelled", StringComparison.Ordinal);

    internal string TargetPath => IsCommit ? "/vm/base" : "/vm/target";
}
