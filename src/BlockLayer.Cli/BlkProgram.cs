using System.Reflection;
using BlockLayer.Cli.CommandLine;
using BlockLayer.Cli.Commands;
using BlockLayer.Cli.Terminal;
using BlockLayer.Errors;
using BlockLayer.Graph;

namespace BlockLayer.Cli;

/// <summary>The whole program but for the process around it: finds the command, runs it, and says what went wrong.</summary>
internal static class BlkProgram
{
    /// <summary>The commands, in the order the help lists them.</summary>
    internal static IReadOnlyList<Command> Commands { get; } =
    [
        new CreateCommand(),
        new InfoCommand(),
        new InspectCommand(),
        new MapCommand(),
        new CompareCommand(),
        new ConvertCommand(),
        new CheckCommand(),
        new SnapshotCommand(),
        new BitmapCommand(),
        new ResizeCommand(),
        new AmendCommand(),
        new PullCommand(),
        new RebaseCommand(),
        new CommitCommand(),
        new MirrorCommand(),
        new SimulateCommand(),
        new DemoCommand(),
    ];

    // The part behind the plus names the commit it was built from.
    private static string Version
        => typeof(BlkProgram).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion.Split('+')[0];

    /// <summary>Runs one command line and returns the exit code.</summary>
    internal static async Task<int> RunAsync(string[] arguments, IConsole console, BlockEnvironment? environment = null)
    {
        if (arguments.Length == 0)
        {
            HelpText.WriteOverview(console.Error);
            return ExitCode.Failure;
        }

        switch (arguments)
        {
            case ["-h" or "--help"] or ["help"]:
                return Write(console, HelpText.WriteOverview);
            case ["-V" or "--version"]:
                return Write(console, static writer => writer.WriteLine($"blk {Version}"));
            case ["-h" or "--help" or "help", var name, ..]:
                return await RunCommandAsync(name, ["--help"], console, environment).ConfigureAwait(false);
            default:
                return await RunCommandAsync(arguments[0], arguments[1..], console, environment).ConfigureAwait(false);
        }
    }

    private static async Task<int> RunCommandAsync(string name, string[] arguments, IConsole console, BlockEnvironment? environment)
    {
        Command? command = Commands.FirstOrDefault(candidate => candidate.Name == name);
        if (command is null)
        {
            console.Error.WriteLine(PrintableText.Of($"blk: there is no command '{name}'; it has {string.Join(", ", Commands.Select(known => known.Name))}. See blk --help."));
            return ExitCode.Failure;
        }

        try
        {
            int code = await RunCommandAsync(command, arguments, console, environment).ConfigureAwait(false);
            console.Flush();
            return code;
        }
        catch (IOException error)
        {
            return TellUnwritten(console, error, command.FailureCode);
        }
    }

    private static async Task<int> RunCommandAsync(Command command, string[] arguments, IConsole console, BlockEnvironment? environment)
    {
        ParsedArguments? parsed = null;
        try
        {
            parsed = ArgumentParser.Parse(arguments, [.. command.Options, .. CommonOptions.Everywhere]);
            if (parsed.Has(CommonOptions.Help))
            {
                HelpText.Write(command, console.Out);
                return ExitCode.Success;
            }

            ThrowIfWrongOperands(command, parsed);
            environment ??= BlockEnvironment.Default;
            using PassphraseFiles passphrases = await PassphraseFiles.ReadAsync(environment, parsed.GetAll(CommonOptions.PassphraseFile)).ConfigureAwait(false);
            var context = new CommandContext(console, parsed, environment) { Secrets = passphrases.Secrets };
            return await command.RunAsync(parsed, context).ConfigureAwait(false);
        }
        catch (UsageException error)
        {
            console.Error.WriteLine(PrintableText.Of($"blk {command.Name}: {error.Message} See blk help {command.Name}."));
            return command.FailureCode;
        }
        catch (BlockLayerException error)
        {
            console.Error.WriteLine(ErrorText.Of(error, command, parsed?.Operands.ElementAtOrDefault(command.FileOperand)));
            return ErrorText.CodeOf(error, command.FailureCode);
        }
        catch (OperationCanceledException error) when (console.Interrupted.IsCancellationRequested)
        {
            console.Error.WriteLine(PrintableText.Of($"blk {command.Name}: interrupted.{(error.InnerException is null ? "" : " " + error.Message)}")); // the message tells what is left behind
            return ExitCode.Interrupted;
        }
    }

    private static int Write(IConsole console, Action<TextWriter> write)
    {
        try
        {
            write(console.Out);
            console.Flush();
            return ExitCode.Success;
        }
        catch (IOException error)
        {
            return TellUnwritten(console, error, ExitCode.Failure);
        }
    }

    // The library reports its failures as its own kind, which was told: this is about our output, such as a pipe that nobody reads any more.
    private static int TellUnwritten(IConsole console, IOException error, int code)
    {
        console.Error.WriteLine($"blk: the output cannot be written: {error.Message}");
        return code;
    }

    private static void ThrowIfWrongOperands(Command command, ParsedArguments parsed)
    {
        (int minimum, int maximum) = command.OperandCount;
        int count = parsed.Operands.Count;
        if (maximum == 0 && count > 0)
        {
            throw new UsageException($"it takes options only, no '{parsed.Operands[0]}'.");
        }

        if (count < minimum || count > maximum)
        {
            string wanted = minimum == maximum ? $"{minimum}" : $"{minimum} or {maximum}";
            throw new UsageException($"it takes {wanted} {(maximum == 1 ? "operand" : "operands")} ({command.Operands}), not {count}.");
        }

        // Such as "$IMAGE" in a script where nobody set it.
        if (parsed.Operands.Contains(""))
        {
            throw new UsageException($"it takes {command.Operands}, and operand {parsed.Operands.IndexOf("") + 1} is empty.");
        }
    }
}
