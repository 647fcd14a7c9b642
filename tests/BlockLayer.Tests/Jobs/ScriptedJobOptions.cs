using BlockLayer.Jobs;

namespace BlockLayer.Tests.Jobs;

internal sealed record ScriptedJobOptions() : JobOptions("scripted")
{
    /// <summary>Whether it is ready as soon as it works.</summary>
    internal bool BecomesReady { get; init; }

    /// <summary>The hook that fails.</summary>
    internal string? FailsAt { get; init; }
}
