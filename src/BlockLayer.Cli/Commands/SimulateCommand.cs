using System.Diagnostics;
using System.Globalization;
using BlockLayer.Cli.CommandLine;
using BlockLayer.Simulation;

namespace BlockLayer.Cli.Commands;

/// <summary><c>blk simulate</c>: the whole library under seeds, as many as one has patience for.</summary>
internal sealed class SimulateCommand : Command
{
    private static readonly Option s_seeds = Option.Value('n', "seeds", "N", "how many seeds (default 1000)");
    private static readonly Option s_first = Option.Value(null, "first", "SEED", "the first of them (default 1)");
    private static readonly Option s_requests = Option.Value(null, "requests", "N", "requests of each guest (default 60)");
    private static readonly Option s_crashes = Option.Value(null, "crashes", "N", "moments of each run at which the power fails (default 4)");
    private static readonly Option s_trace = Option.Flag(null, "trace", "print what operators do and what becomes of it");

    internal override string Name => "simulate";

    internal override string Summary => "run guests, jobs, faults and crashes in virtual time, and hold every promise";

    internal override string Operands => "";

    internal override (int Minimum, int Maximum) OperandCount => (0, 0);

    internal override IReadOnlyList<Option> Options => [s_seeds, s_first, s_requests, s_crashes, s_trace, CommonOptions.Quiet];

    internal override string Example => "blk simulate --seeds 10000 --first 1";

    internal override string Notes =>
        """
        Each seed makes disks with chains of images in memory, guests that write and check what they read, and operators that pull, commit, mirror, back up and take snapshots, pause,
        limit and cancel; in half of the seeds storage fails now and then. The power fails at sampled moments: what a crash could leave is opened again and held against what
        the guests had been promised. Stops at the first seed that breaks a promise, with exit code 1; --first SEED --seeds 1 repeats it.
        """;

    internal override Task<int> RunAsync(ParsedArguments arguments, CommandContext context)
    {
        int seeds = arguments.GetNumber(s_seeds, 1, int.MaxValue) ?? 1000;
        int first = arguments.GetNumber(s_first, 0, int.MaxValue) ?? 1;
        var options = new SystemOptions
        {
            Requests = arguments.GetNumber(s_requests, 0, 1_000_000) ?? 60,
            CrashPoints = arguments.GetNumber(s_crashes, 0, 1000) ?? 4,
            Trace = arguments.Has(s_trace) ? context.Console.Out.WriteLine : null,
        };
        var total = new SystemReport((ulong)first);
        long started = Stopwatch.GetTimestamp();
        for (long seed = first; seed < (long)first + seeds; seed++)
        {
            context.Console.Interrupted.ThrowIfCancellationRequested();
            try
            {
                SystemReport report = SystemRun.Run((ulong)seed, options);
                total = total.Plus(report);
                context.Say($"seed {seed}: {report}");
            }
            catch (SimulationSearchException failure)
            {
                context.Console.Error.WriteLine($"blk simulate: seed {seed} breaks a promise.");
                context.Console.Error.WriteLine(failure.ToString());
                context.Console.Error.WriteLine($"Repeat it with: blk simulate --seeds 1 --first {seed}");
                return Task.FromResult(ExitCode.Failure);
            }
        }

        double seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        context.Console.Out.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{seeds} seeds kept every promise in {seconds:0.0} s ({total.Requests / seconds:0} requests/s, {total.VirtualTime.TotalMinutes:0.0} simulated minutes): {total}."));
        return Task.FromResult(ExitCode.Success);
    }
}
