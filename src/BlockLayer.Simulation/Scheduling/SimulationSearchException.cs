namespace BlockLayer.Simulation;

/// <summary>A run of a search failed. The first line of the message names the run; give it to <see cref="SimulationOptions.Parse"/> to repeat it.</summary>
public sealed class SimulationSearchException : Exception
{
    /// <summary>Makes the error for one run.</summary>
    public SimulationSearchException(SimulationOptions options, Exception cause)
        : base($"{options}{Environment.NewLine}{cause.Message}", cause)
        => Options = options;

    /// <summary>The run that failed.</summary>
    public SimulationOptions Options { get; }
}
