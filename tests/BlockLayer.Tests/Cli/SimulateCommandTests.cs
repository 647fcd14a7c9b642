using BlockLayer.Cli;
using BlockLayer.Cli.CommandLine;
using BlockLayer.Cli.Commands;
using BlockLayer.Graph;
using BlockLayer.Simulation;
using Xunit;

namespace BlockLayer.Tests.Cli;

public sealed class SimulateCommandTests : IDisposable
{
    private readonly BlkRun _blk = new();

    public void Dispose() => _blk.Dispose();

    [Fact]
    public async Task Says_what_each_seed_did_and_what_all_did()
    {
        BlkRun.Outcome result = await _blk.RunAsync("simulate", "--seeds", "2", "--first", "2");
        Assert.Equal(0, result.Code);
        Assert.Contains("seed 2: ", result.Out, StringComparison.Ordinal);
        Assert.Contains("2 seeds from 2 on kept every promise in", result.Out, StringComparison.Ordinal);
        Assert.Matches("\nThey came to [0-9]+ data file images, [0-9]+ encrypted images, .*\\.\n$", result.Out);
        BlkRun.Outcome again = await _blk.RunAsync("simulate", "--seeds", "1", "--first", "2");
        Assert.StartsWith(again.Out.Split('\n')[0], result.Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Prints_what_operators_did_when_asked()
    {
        BlkRun.Outcome result = await _blk.RunAsync("simulate", "-q", "--seeds", "1", "--trace");
        Assert.Equal(0, result.Code);
        Assert.DoesNotContain("kept every promise", result.Out, StringComparison.Ordinal); // -q
        Assert.Contains(" ms  job '", result.Out, StringComparison.Ordinal);
        Assert.Contains(" ended: ", result.Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_terminal_shows_one_line_that_tells_how_far_it_is()
    {
        using var console = new RecordingConsole { IsErrorTerminal = true };
        BlkRun.Outcome result = await _blk.RunAsync(console, "simulate", "--seeds", "2", "--requests", "5", "--crashes", "1");
        Assert.Equal(0, result.Code);
        Assert.Matches("\r\x1b\\[Kseed 1: [0-9]+ operations, [0-9]+ faults, [0-9]+ crash points so far", result.Error);
        Assert.EndsWith("\r\x1b[K", result.Error, StringComparison.Ordinal);
        Assert.Equal(["2 seeds ", "They cam"], result.Out.TrimEnd('\n').Split('\n').Select(static line => line[..8]));
    }

    [Fact]
    public async Task Without_an_end_it_runs_until_it_is_interrupted()
    {
        using var console = new RecordingConsole();
        (int code, ulong last) = await RunAsync(console, seed => seed == 12, null, "--seeds", "0", "--first", "5");
        Assert.Equal((0, 12UL), (code, last));
        Assert.Contains("8 seeds from 5 on kept every promise", console.Out.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Interrupted_before_its_end_it_tells_how_far_it_came()
    {
        using var console = new RecordingConsole();
        (int code, ulong last) = await RunAsync(console, seed => seed == 3, null, "--seeds", "10");
        Assert.Equal((ExitCode.Interrupted, 3UL), (code, last));
        Assert.Contains("3 seeds from 1 on kept every promise", console.Out.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Takes_the_limits_that_it_prints()
    {
        using var console = new RecordingConsole();
        SystemOptions? taken = null;
        (int code, _) = await RunAsync(
            console,
            _ => false,
            (_, run) =>
            {
                taken = run;
                return false;
            },
            "--seeds", "1", "--disks", "1", "--guests", "0", "--requests", "3", "--operators", "4", "--jobs", "5", "--crashes", "6", "--no-faults");
        Assert.Equal(0, code);
        Assert.Equal(new SystemOptions { MaxDisks = 1, Guests = 0, Requests = 3, Operators = 4, Jobs = 5, CrashPoints = 6, Faults = false }, taken);
    }

    [Fact]
    public async Task Stops_at_the_first_seed_that_breaks_a_promise_and_says_how_to_repeat_it()
    {
        using var console = new RecordingConsole();
        (int code, ulong last) = await RunAsync(console, _ => false, (seed, run) => seed == 4 && run is { Requests: >= 3, Jobs: >= 1, Operators: >= 1 }, "--seeds", "10", "--requests", "7");
        Assert.Equal((ExitCode.Failure, 4UL), (code, last));
        string error = console.Error.ToString()!;
        Assert.Contains("blk simulate: seed 4 breaks a promise.\n", error, StringComparison.Ordinal);
        Assert.Contains("the sector is gone", error, StringComparison.Ordinal);
        Assert.Contains("Before it 3 seeds kept every promise: ", error, StringComparison.Ordinal);
        Assert.Contains("Repeat it with: blk simulate --seeds 1 --first 4 --requests 7 --trace\n", error, StringComparison.Ordinal);
        Assert.EndsWith(
            "The smallest case of it that was found: blk simulate --seeds 1 --first 4 --disks 1 --guests 0 --requests 3 --operators 1 --jobs 1 --crashes 0 --no-faults --trace\n"
            + "It breaks this: the sector is gone\n",
            error,
            StringComparison.Ordinal);
    }

    // Seeds that do nothing, up to one at which somebody presses Ctrl-C, or one that breaks a promise. Returns the exit code and the last seed.
    private static async Task<(int Code, ulong Last)> RunAsync(RecordingConsole console, Predicate<ulong> interrupts, Func<ulong, SystemOptions, bool>? breaks, params string[] arguments)
    {
        ulong last = 0;
        var command = new SimulateCommand
        {
            Play = (seed, run) =>
            {
                last = seed;
                if (interrupts(seed))
                {
                    console.Interrupt();
                }

                return breaks?.Invoke(seed, run) == true
                    ? throw new SimulationSearchException(new SimulationOptions { Seed = seed }, new InvalidOperationException("the sector is gone"))
                    : new SystemReport(seed);
            },
        };
        ParsedArguments parsed = ArgumentParser.Parse(arguments, [.. command.Options]);
        var context = new CommandContext(console, parsed, BlockEnvironment.Default) { Secrets = new ImageSecrets() };
        return (await command.RunAsync(parsed, context), last);
    }
}
