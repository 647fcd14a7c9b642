using BlockLayer.TestKit;

namespace BlockLayer.Simulation.Tests.Crashes;

/// <summary>The table of the crash states that the tests explore: each test prints its row, and the test command prints all of them.</summary>
internal static class CrashTable
{
    /// <summary>Prints one row.</summary>
    /// <param name="operation">What was going on.</param>
    /// <param name="recorder">Its crash points.</param>
    /// <param name="states">How many states were tried.</param>
    /// <param name="outcome">What they held.</param>
    internal static void Print(string operation, CrashRecorder recorder, long states, string outcome)
        => Print(operation, recorder.Images.Count, states, outcome);

    /// <summary>Prints one row for several runs of an operation.</summary>
    /// <param name="operation">What was going on.</param>
    /// <param name="points">The crash points of all runs.</param>
    /// <param name="states">How many states were tried.</param>
    /// <param name="outcome">What they held.</param>
    internal static void Print(string operation, int points, long states, string outcome)
        => TestReport.Add($"| {operation,-52} | {points,4} points | {states,6} states | {outcome} |");
}
