using System.Globalization;
using BlockLayer.Cli.CommandLine;
using BlockLayer.Cli.Terminal;
using BlockLayer.Simulation;

namespace BlockLayer.Cli.Commands;

/// <summary><c>blk simulate</c>: the whole library under seeds, as many as one has patience for.</summary>
internal sealed class SimulateCommand : Command
{
    private static readonly Option s_seeds = Option.Value('n', "seeds", "N", "how many seeds (default 1000); 0: until Ctrl-C");
    private static readonly Option s_first = Option.Value(null, "first", "SEED", "the first of them (default 1)");
    private static readonly Option s_requests = Option.Value(null, "requests", "N", "requests of each guest (default 60)");
    private static readonly Option s_crashes = Option.Value(null, "crashes", "N", "moments of each run at which the power fails (default 4)");
    private static readonly Option s_disks = Option.Value(null, "disks", "N", "most disks of a run (default 2)");
    private static readonly Option s_guests = Option.Value(null, "guests", "N", "guests of each disk (default 2)");
    private static readonly Option s_operators = Option.Value(null, "operators", "N", "operators of each disk, who start jobs (default 2)");
    private static readonly Option s_jobs = Option.Value(null, "jobs", "N", "jobs that each operator starts (default 3)");
    private static readonly Option s_noFaults = Option.Flag(null, "no-faults", "storage never fails");
    private static readonly Option s_trace = Option.Flag(null, "trace", "print what operators do and what becomes of it");

    internal override string Name => "simulate";

    internal override string Summary => "run guests, jobs, faults and crashes in virtual time, and hold every promise";

    internal override string Operands => "";

    internal override (int Minimum, int Maximum) OperandCount => (0, 0);

    internal override IReadOnlyList<Option> Options => [s_seeds, s_first, s_disks, s_guests, s_requests, s_operators, s_jobs, s_crashes, s_noFaults, s_trace, CommonOptions.Quiet];

    internal override string Example => "blk simulate --seeds 10000 --first 1";

    internal override string Notes =>
        """
        Each seed makes disks with chains of images in memory, guests that write and check what they read, and operators that pull, commit, mirror, rebase, back up, resize and
        take snapshots, pause, limit and cancel; in half of the seeds storage fails now and then. The power fails at sampled moments: what a crash could leave is opened again and
        held against what the guests had been promised, and some machines go on from there. Prints a line a seed, or, on a terminal, one line that tells how far it is.
        Stops at the first seed that breaks a promise, with exit code 1, and says how to repeat it; then looks for fewer guests, requests, operators, jobs and crashes with which the
        seed still breaks one, and says how to repeat the smallest (Ctrl-C ends that search). With --seeds 0 Ctrl-C is the way to end it, with exit code 0.
        """;

    /// <summary>Runs a seed; a test puts one in its place that breaks a promise.</summary>
    internal Func<ulong, SystemOptions, SystemReport> Play { get; init; } = SystemRun.Run;

    internal override Task<int> RunAsync(ParsedArguments arguments, CommandContext context)
    {
        int seeds = arguments.GetNumber(s_seeds, 0, int.MaxValue) ?? 1000;
        int first = arguments.GetNumber(s_first, 0, int.MaxValue) ?? 1;
        var options = new SystemOptions
        {
            Requests = arguments.GetNumber(s_requests, 0, 1_000_000) ?? 60,
            CrashPoints = arguments.GetNumber(s_crashes, 0, 1000) ?? 4,
            MaxDisks = arguments.GetNumber(s_disks, 1, 100) ?? 2,
            Guests = arguments.GetNumber(s_guests, 0, 100) ?? 2,
            Operators = arguments.GetNumber(s_operators, 0, 100) ?? 2,
            Jobs = arguments.GetNumber(s_jobs, 0, 1000) ?? 3,
            Faults = !arguments.Has(s_noFaults),
            Trace = arguments.Has(s_trace) ? context.Out.WriteLine : null,
        };
        return Task.FromResult(Run(first, seeds, options, isWatched: context.Console.IsErrorTerminal && !arguments.Has(CommonOptions.Quiet) && options.Trace is null, context));
    }

    private int Run(long first, int seeds, SystemOptions options, bool isWatched, CommandContext context)
    {
        var total = new SystemReport((ulong)first);
        TimeProvider time = context.Environment.Time;
        long started = time.GetTimestamp();
        long done = 0;
        using (var status = new StatusLine(context.Console.Error, time, () => context.Console.Columns))
        {
            for (; (seeds == 0 || done < seeds) && !context.Console.Interrupted.IsCancellationRequested; done++)
            {
                long seed = first + done;
                try
                {
                    SystemReport report = Play((ulong)seed, options);
                    total = total.Plus(report);
                    if (isWatched)
                    {
                        status.Show($"seed {seed}: {total.Operations} operations, {total.Faults} faults, {total.CrashPoints} crash points so far");
                    }
                    else
                    {
                        context.Say($"seed {seed}: {report}");
                    }
                }
                catch (SimulationSearchException failure)
                {
                    status.Dispose();
                    context.Console.Error.WriteLine($"blk simulate: seed {seed} breaks a promise.");
                    context.Console.Error.WriteLine(failure.ToString());
                    context.Console.Error.WriteLine($"Before it {done} seeds kept every promise: {total}.");
                    context.Console.Error.WriteLine($"Repeat it with: {RepetitionOf(seed, options)}");
                    SmallerRun smaller = SystemShrinker.Shrink((ulong)seed, options, failure, play: Play, cancellationToken: context.Console.Interrupted);
                    context.Console.Error.WriteLine($"The smallest case of it that was found: {RepetitionOf(seed, smaller.Options)}");
                    context.Console.Error.WriteLine($"It breaks this: {smaller.Failure.InnerException?.Message ?? smaller.Failure.Message}");
                    return ExitCode.Failure;
                }
            }
        }

        double seconds = time.GetElapsedTime(started).TotalSeconds;
        context.Say(string.Create(
            CultureInfo.InvariantCulture,
            $"{done} seeds from {first} on kept every promise in {seconds:0.0} s ({total.Operations / seconds:0} operations/s, {total.VirtualTime.TotalMinutes:0.0} simulated minutes): {total}."));
        context.Say($"They came to {total.Corners}.");
        return done < seeds ? ExitCode.Interrupted : ExitCode.Success;
    }

    // What is not as usual belongs to the seed.
    private static string RepetitionOf(long seed, SystemOptions options)
    {
        var usual = new SystemOptions();
        (string Name, int Value, int Usual)[] limits =
        [
            ("disks", options.MaxDisks, usual.MaxDisks),
            ("guests", options.Guests, usual.Guests),
            ("requests", options.Requests, usual.Requests),
            ("operators", options.Operators, usual.Operators),
            ("jobs", options.Jobs, usual.Jobs),
            ("crashes", options.CrashPoints, usual.CrashPoints),
        ];
        string unusual = string.Concat(limits.Where(static limit => limit.Value != limit.Usual).Select(static limit => $" --{limit.Name} {limit.Value}"));
        return $"blk simulate --seeds 1 --first {seed}{unusual}{(options.Faults ? "" : " --no-faults")} --trace";
    }
}
