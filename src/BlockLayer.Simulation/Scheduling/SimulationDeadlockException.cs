namespace BlockLayer.Simulation;

/// <summary>Nothing can run any more, no timer is set, and what was run has not finished: everybody waits for somebody.</summary>
public sealed class SimulationDeadlockException : SimulationException
{
    /// <summary>Makes the error.</summary>
    /// <param name="seed">The seed of the run.</param>
    /// <param name="waiting">Names of the strands that have not finished.</param>
    /// <param name="message">The same for people, with the last steps.</param>
    public SimulationDeadlockException(ulong seed, IReadOnlyList<string> waiting, string message)
        : base(seed, message)
        => Waiting = waiting;

    /// <summary>Names of the strands that have not finished.</summary>
    public IReadOnlyList<string> Waiting { get; }
}
