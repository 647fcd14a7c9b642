namespace BlockLayer.Simulation;

/// <summary>The simulated program cannot go on, or broke a rule of the simulation. The message names the seed that replays it.</summary>
public class SimulationException : Exception
{
    /// <summary>Makes an error of the run with this seed.</summary>
    public SimulationException(ulong seed, string message, Exception? cause = null)
        : base(message, cause)
        => Seed = seed;

    /// <summary>The seed of the run.</summary>
    public ulong Seed { get; }
}
