namespace BlockLayer.Simulation;

/// <summary>How a simulation is driven.</summary>
public sealed record SimulationOptions
{
    /// <summary>Decides every choice of the simulation: the same seed and the same program give the same run.</summary>
    public ulong Seed { get; init; }

    /// <summary>How the next step is picked.</summary>
    public SimulationOrder Order { get; init; } = SimulationOrder.Random;

    /// <summary>How many steps the simulation may take before it is called a livelock.</summary>
    public long StepLimit { get; init; } = 10_000_000;

    /// <summary>The date at which virtual time begins.</summary>
    public DateTimeOffset Epoch { get; init; } = new(2030, 1, 1, 0, 0, 0, TimeSpan.Zero);

    /// <summary>What <see cref="BlockLayer.Storage.WorkScheduler.Degree"/> answers in the simulation.</summary>
    public int WorkDegree { get; init; } = 2;
}
