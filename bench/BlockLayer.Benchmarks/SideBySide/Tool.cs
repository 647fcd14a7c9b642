using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace BlockLayer.Benchmarks.SideBySide;

/// <summary>Runs a program of the peer, or our own command, and times it from outside.</summary>
internal static partial class Tool
{
    /// <summary>Runs a program to its end.</summary>
    /// <returns>What it printed, and how many seconds the whole process took.</returns>
    /// <exception cref="InvalidOperationException">It failed; the message holds what it printed.</exception>
    internal static async Task<(string Output, double Seconds)> RunAsync(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        long began = Stopwatch.GetTimestamp();
        using Process process = Process.Start(start) ?? throw new InvalidOperationException($"{program} did not start");
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> errors = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        double seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
        return process.ExitCode == 0
            ? (await output, seconds)
            : throw new InvalidOperationException($"{program} {string.Join(' ', arguments)}: exit code {process.ExitCode}\n{await output}{await errors}");
    }

    /// <summary>Runs a program to its end and returns the most memory that it had resident, in bytes, as the kernel counted it.</summary>
    /// <exception cref="InvalidOperationException">It failed, or GNU time is missing.</exception>
    internal static async Task<long> PeakMemoryAsync(string program, params string[] arguments)
    {
        string report = Path.GetTempFileName();
        try
        {
            await RunAsync("/usr/bin/time", ["-f", "%M", "-o", report, program, .. arguments]);
            return long.Parse(await File.ReadAllTextAsync(report), CultureInfo.InvariantCulture) * 1024;
        }
        finally
        {
            File.Delete(report);
        }
    }

    /// <summary>Runs <c>qemu-img bench</c> and returns the seconds it reports for the requests alone, without start-up.</summary>
    internal static async Task<double> QemuBenchAsync(params string[] arguments)
    {
        (string output, _) = await RunAsync("qemu-img", ["bench", .. arguments]);
        return double.Parse(Completed().Match(output).Groups[1].Value, CultureInfo.InvariantCulture);
    }

    [GeneratedRegex(@"Run completed in ([0-9.]+) seconds")]
    private static partial Regex Completed();
}
