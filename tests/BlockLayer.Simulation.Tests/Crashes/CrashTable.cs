using Xunit;

namespace BlockLayer.Simulation.Tests.Crashes;

/// <summary>The table of the crash states that the tests explore: each test prints its row.</summary>
internal static class CrashTable
{
    /// <summary>Prints one row.</summary>
    /// <param name="operation">What was going on.</param>
    /// <param name="recorder">Its crash points.</param>
    /// <param name="states">How many states were tried.</param>
    /// <param name="outcome">What they held.</param>
    internal static void Print(string operation, CrashRecorder recorder, long states, string outcome)
        => TestContext.Current.TestOutputHelper!.WriteLine($"| {operation,-52} | {recorder.Images.Count,4} points | {states,6} states | {outcome} |");
}
