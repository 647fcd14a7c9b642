using System.Diagnostics;
using Xunit;

namespace BlockLayer.Interop.Tests.Kill;

/// <summary>A program that is run up to one of its own lines and killed there.</summary>
internal static class KilledProcess
{
    private const int KilledExitCode = 128 + 9; // SIGKILL, as .NET reports the end of a child by a signal

    /// <summary>Starts a program of this folder, reads its lines until one is the last, and kills it.</summary>
    /// <param name="program">File name beside the test program.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="stream">Which of its streams is read.</param>
    /// <param name="isLast">Whether the line is what was waited for.</param>
    /// <returns>All lines that it had sent when it died.</returns>
    internal static List<string> Run(string program, IEnumerable<string> arguments, Func<Process, StreamReader> stream, Predicate<string> isLast)
    {
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, program), arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using Process process = Process.Start(start)!;
        StreamReader reader = stream(process);
        Task<string> rest = (reader == process.StandardOutput ? process.StandardError : process.StandardOutput).ReadToEndAsync();
        var lines = new List<string>();
        bool isReached = false;
        while (!isReached && reader.ReadLine() is { } line)
        {
            lines.Add(line);
            isReached = isLast(line);
        }

        process.Kill(); // SIGKILL
        while (reader.ReadLine() is { } line)
        {
            lines.Add(line);
        }

        process.WaitForExit();
        string said = $"{string.Join(" / ", lines.TakeLast(3))} {rest.GetAwaiter().GetResult()}";
        Assert.True(
            isReached && process.ExitCode == KilledExitCode,
            $"{program} {string.Join(' ', arguments)} ended with {process.ExitCode} before it was killed: {said}");
        return lines;
    }
}
