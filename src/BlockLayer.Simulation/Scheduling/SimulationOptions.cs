using System.Globalization;

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

    /// <summary>Options from the line that <see cref="ToString"/> writes; what the line does not hold has its default.</summary>
    /// <exception cref="FormatException">The text is no such line.</exception>
    public static SimulationOptions Parse(string line)
    {
        string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return words.Length == 2
            && words[0].StartsWith("seed=", StringComparison.Ordinal)
            && ulong.TryParse(words[0].AsSpan("seed=".Length), NumberStyles.None, CultureInfo.InvariantCulture, out ulong seed)
            && words[1].StartsWith("order=", StringComparison.Ordinal)
            && Enum.TryParse(words[1].AsSpan("order=".Length), out SimulationOrder order)
            ? new SimulationOptions { Seed = seed, Order = order }
            : throw new FormatException($"\"{line}\" names no run; a line looks like \"seed=17 order=Random\".");
    }

    /// <summary>What replays a run, as one line: <c>seed=17 order=Random</c>.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"seed={Seed} order={Order}");
}
