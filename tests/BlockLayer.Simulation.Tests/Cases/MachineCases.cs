namespace BlockLayer.Simulation.Tests.Cases;

/// <summary>Cases on one machine, which its seed repeats.</summary>
public abstract class MachineCases
{
    internal SimulatedMachine Machine { get; } = new(seed: 17);
}
