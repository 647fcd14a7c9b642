namespace BlockLayer.Simulation.Tests.Crashes.Pulls;

/// <summary>What had been promised at the moment of a crash.</summary>
/// <param name="Disk">To the guests.</param>
/// <param name="IsComplete">To the one who pulls: true once success was reported.</param>
internal sealed record PullPromise(SectorOracle Disk, bool IsComplete);
