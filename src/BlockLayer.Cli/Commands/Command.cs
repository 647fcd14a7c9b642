using BlockLayer.Cli.CommandLine;

namespace BlockLayer.Cli.Commands;

/// <summary>One thing that <c>blk</c> does: it takes its arguments, calls one operation of the library and prints the outcome.</summary>
internal abstract class Command
{
    internal abstract string Name { get; }

    /// <summary>What it does, in one line.</summary>
    internal abstract string Summary { get; }

    /// <summary>The operands as the help shows them.</summary>
    internal abstract string Operands { get; }

    /// <summary>How many operands there must be, from and to.</summary>
    internal abstract (int Minimum, int Maximum) OperandCount { get; }

    /// <summary>Which operand, counted from 0, names the file that failures are about when they do not say it themselves.</summary>
    internal virtual int FileOperand => 0;

    /// <summary>The command's own options; those that every command has are added to them.</summary>
    internal abstract IReadOnlyList<Option> Options { get; }

    /// <summary>A command line that works.</summary>
    internal abstract string Example { get; }

    /// <summary>What a user has to know besides; empty for nothing.</summary>
    internal virtual string Notes => "";

    /// <summary>What wrong use and images that cannot be opened return.</summary>
    internal virtual int FailureCode => ExitCode.Failure;

    /// <summary>Does it. Returns an exit code.</summary>
    internal abstract Task<int> RunAsync(ParsedArguments arguments, CommandContext context);
}
