using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;

namespace BlockLayer.Simulation.Tests.Crashes.Pulls;

/// <summary>What is done to a run so that it breaks its promises; nothing by default.</summary>
internal sealed record PullSabotage
{
    /// <summary>Put on the file of current.</summary>
    internal StorageHook? Hook { get; init; }

    /// <summary>The formats that are known.</summary>
    internal FormatRegistry Formats { get; init; } = BuiltInFormats.All;
}
