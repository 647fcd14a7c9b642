namespace BlockLayer.Simulation;

/// <summary>The run took more steps than <see cref="SimulationOptions.StepLimit"/> allows: it goes round in circles, or the limit is too small.</summary>
public sealed class SimulationLivelockException : SimulationException
{
    /// <summary>Makes the error.</summary>
    public SimulationLivelockException(ulong seed, string message)
        : base(seed, message)
    {
    }
}
