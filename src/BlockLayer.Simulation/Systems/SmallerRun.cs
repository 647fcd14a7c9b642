namespace BlockLayer.Simulation;

/// <summary>A run that breaks a promise and is as small as <see cref="SystemShrinker"/> could make it.</summary>
/// <param name="Options">What it is run with.</param>
/// <param name="Failure">The promise.</param>
public sealed record SmallerRun(SystemOptions Options, SimulationSearchException Failure);
