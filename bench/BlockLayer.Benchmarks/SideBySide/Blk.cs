namespace BlockLayer.Benchmarks.SideBySide;

/// <summary>Our command, as the script has built it.</summary>
internal static class Blk
{
    private static readonly string s_path = Path.GetFullPath(
        Path.Combine(AppContext.BaseDirectory, "../../blk/blk"));

    /// <summary>Runs <c>blk</c> to its end and returns the seconds of the whole process.</summary>
    internal static async Task<double> RunAsync(params string[] arguments) => (await Tool.RunAsync(s_path, arguments)).Seconds;

    /// <summary>Runs <c>blk</c> to its end and returns the most memory that it had resident, in bytes.</summary>
    internal static Task<long> PeakMemoryAsync(params string[] arguments) => Tool.PeakMemoryAsync(s_path, arguments);
}
