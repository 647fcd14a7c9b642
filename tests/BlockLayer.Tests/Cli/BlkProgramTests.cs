using BlockLayer.Cli;
using BlockLayer.Cli.CommandLine;
using BlockLayer.Cli.Commands;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Simulation;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Cli;

public sealed class BlkProgramTests : IDisposable
{
    private readonly BlkRun _blk = new();

    public static TheoryData<string> CommandNames => [.. BlkProgram.Commands.Select(command => command.Name)];

    [Fact]
    public async Task Without_arguments_it_tells_how_it_is_used_and_fails()
    {
        BlkRun.Outcome outcome = await _blk.RunAsync();
        Assert.Equal((ExitCode.Failure, ""), (outcome.Code, outcome.Out));
        Assert.StartsWith("blk: disk images and backing chains, without a hypervisor.\n\nusage: blk COMMAND [OPTIONS] ...\n", outcome.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_overview_lists_every_command_and_every_exit_code()
    {
        string help = await _blk.SucceedAsync("--help");
        Assert.All(BlkProgram.Commands, command => Assert.Contains($"\n  {command.Name,-9}{command.Summary}\n", help, StringComparison.Ordinal));
        Assert.All(new[] { "63   check", "75   somebody else", "77   an image refers", "130  interrupted" }, line => Assert.Contains(line, help, StringComparison.Ordinal));
        Assert.Equal(help, await _blk.SucceedAsync("help"));
    }

    [Theory]
    [MemberData(nameof(CommandNames))]
    public async Task Every_command_explains_itself_with_an_example_that_parses(string name)
    {
        Command command = BlkProgram.Commands.Single(candidate => candidate.Name == name);
        string help = await _blk.SucceedAsync(name, "--help");
        Assert.Equal(help, await _blk.SucceedAsync("help", name));
        Assert.Equal(help, await _blk.SucceedAsync("--help", name));
        Assert.Contains($"Example: blk {name}", help, StringComparison.Ordinal);
        string[] example = command.Example.Split(' ')[2..];
        ParsedArguments parsed = ArgumentParser.Parse(example, [.. command.Options, .. CommonOptions.Everywhere]);
        Assert.InRange(parsed.Operands.Count, command.OperandCount.Minimum, command.OperandCount.Maximum);
    }

    [Theory]
    [MemberData(nameof(CommandNames))]
    public void The_options_of_a_command_are_distinct(string name)
    {
        Command command = BlkProgram.Commands.Single(candidate => candidate.Name == name);
        var options = command.Options.Concat(CommonOptions.Everywhere).ToList();
        Assert.Distinct(options.Select(option => option.Name));
        Assert.Distinct(options.Where(option => option.Letter is not null).Select(option => option.Letter));
    }

    [Fact]
    public async Task The_version_is_that_of_the_assembly()
        => Assert.Matches(@"^blk \d+\.\d+\.\d+\n$", await _blk.SucceedAsync("--version"));

    [Theory]
    [InlineData("blk: there is no command 'frob'", "frob")]
    [InlineData("blk info: there is no option -z. See blk help info.", "info", "-z")]
    [InlineData("blk info: it takes 1 operand (FILE), not 2. See blk help info.", "info", "a", "b")]
    [InlineData("blk simulate: it takes options only, no '17'. See blk help simulate.", "simulate", "17")]
    [InlineData("blk mirror: it takes SOURCE [FMT:]DEST, and operand 2 is empty. See blk help mirror.", "mirror", "@a", "")]
    [InlineData("blk: there is no command '\\x1b[2J\\x0a'", "\u001b[2J\n")]
    [InlineData("blk info: there is no option --\\x1b[2J\\x0a.", "info", "--\u001b[2J\n")]
    [InlineData("blk info: --output takes human or json, not 'xml'. See blk help info.", "info", "--output=xml", "a")]
    [InlineData("blk create: SIZE is needed, such as 10G. See blk help create.", "create", "-f", "raw", "@a.raw")]
    [InlineData("blk create: -b needs the format of the backing file", "create", "-b", "b.raw", "@a.raw")]
    [InlineData("blk create: -F names the format of a backing file; give the file with -b.", "create", "-F", "raw", "@a.raw", "1M")]
    [InlineData("blk convert: -S takes 0 or a power of two up to 1M, not 3000.", "convert", "-S", "3000", "@a", "@b")]
    [InlineData("blk convert: -m takes a number from 1 to 16, not '99'.", "convert", "-m", "99", "@a", "@b")]
    public async Task Wrong_use_is_one_line_and_fails(string line, params string[] arguments)
    {
        BlkRun.Outcome outcome = await _blk.RunAsync(arguments);
        Assert.Equal((ExitCode.Failure, ""), (outcome.Code, outcome.Out));
        Assert.StartsWith(line, outcome.Error, StringComparison.Ordinal);
        Assert.Equal(1, outcome.Error.Count(character => character == '\n'));
    }

    [Fact]
    public async Task Wrong_use_of_compare_is_not_the_code_for_different()
        => Assert.Equal(ExitCode.CompareFailure, (await _blk.RunAsync("compare", "@one")).Code);

    /// <summary>A file that a shell's asterisk found has whatever name somebody gave it.</summary>
    [Fact]
    public async Task Names_in_results_move_no_cursor_and_break_no_line()
    {
        const string name = "\u001b[2J\n";
        string output =
            await _blk.SucceedAsync("create", "-f", "qcow2", $"@{name}", "1M")
            + await _blk.SucceedAsync("create", "-f", "qcow2", $"@{name}copy", "2M")
            + await _blk.SucceedAsync("resize", $"@{name}", "+1M")
            + await _blk.SucceedAsync("amend", "-o", "refcount_bits=32", $"@{name}")
            + await _blk.SucceedAsync("snapshot", "create", $"@{name}", name)
            + await _blk.SucceedAsync("snapshot", "apply", $"@{name}", name)
            + await _blk.SucceedAsync("snapshot", "delete", $"@{name}", name)
            + await _blk.SucceedAsync("rebase", "-u", "-b", $"{name}copy", "-F", "qcow2", $"@{name}")
            + await _blk.SucceedAsync("rebase", "-b", "", $"@{name}")
            + await _blk.SucceedAsync("mirror", $"@{name}", $"@{name}copy")
            + await _blk.SucceedAsync("pull", $"@{name}");
        Assert.DoesNotContain('\u001b', output);
        Assert.Equal(11, output.Count(character => character == '\n'));
    }

    [Fact]
    public async Task The_usage_of_a_command_without_operands_ends_with_its_options()
        => Assert.Contains("\nusage: blk demo [OPTIONS]\n", await _blk.SucceedAsync("demo", "--help"), StringComparison.Ordinal);

    [Fact]
    public async Task An_interruption_that_leaves_something_behind_says_so()
    {
        var files = new SimulatedStorageProvider();
        BlockEnvironment environment = SimulatedEnvironment.Inline(files);
        await (await Disk.CreateAsync("/disk", new NewImage { Format = "raw", Length = 1 << 20 }, new DiskOptions { Environment = environment })).DisposeAsync();
        files.Faults.Add(new FaultRule { Operations = StorageOperations.Delete, Path = "/copy" });
        using var console = new RecordingConsole();
        var watched = new WatchedFiles(files) { AfterOpen = path => InterruptAt(path, console) };
        int code = await BlkProgram.RunAsync(["convert", "-f", "raw", "/disk", "/copy"], console, environment with { Files = watched });
        Assert.Equal(ExitCode.Interrupted, code);
        Assert.Matches("^blk convert: interrupted\\. .* What was begun is not all undone: '/copy': Injected fault: Delete failed\\.\n$", console.Error.ToString());
    }

    public void Dispose() => _blk.Dispose();

    private static void InterruptAt(string path, RecordingConsole console)
    {
        if (path == "/copy")
        {
            console.Interrupt();
        }
    }
}
