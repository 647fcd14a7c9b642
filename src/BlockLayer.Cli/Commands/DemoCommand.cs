using BlockLayer.Cli.CommandLine;
using BlockLayer.Cli.Demo;

namespace BlockLayer.Cli.Commands;

/// <summary><c>blk demo</c>: the main job, to be watched and believed.</summary>
internal sealed class DemoCommand : Command
{
    private const long MaxLength = 64L << 30; // the model takes a 128th of it in memory

    private static readonly Option s_directory = Option.Value('d', "dir", "DIR", "make the images in DIR and keep them (default: a temporary folder)");
    private static readonly Option s_size = Option.Value('s', "size", "SIZE", "size of the virtual disk (default 512M)");
    private static readonly Option s_seed = Option.Value(null, "seed", "N", "decides the images and what the guests do (default 1)");
    private static readonly Option s_bandwidth = Option.Value(
        'r', "bandwidth", "SIZE", "the pull copies at most SIZE bytes a second (default 64M; 0: no limit)");

    internal override string Name => "demo";

    internal override string Summary => "watch a chain being pulled under a working guest, and prove the outcome";

    internal override string Operands => "";

    internal override (int Minimum, int Maximum) OperandCount => (0, 0);

    internal override IReadOnlyList<Option> Options => [s_directory, s_size, s_seed, s_bandwidth, CommonOptions.Progress];

    internal override string Example => "blk demo --size 1G --seed 7";

    internal override string Notes => "Exit code 0 only if every byte was right, the chain is template <- current, and all files pass the check.";

    internal override async Task<int> RunAsync(ParsedArguments arguments, CommandContext context)
    {
        long length = arguments.GetSize(s_size) ?? 512L << 20;
        if (length is < (16 << 20) or > MaxLength || length % (1 << 20) != 0)
        {
            throw new UsageException($"-s takes a multiple of 1M from 16M to 64G, not {length}.");
        }

        int seed = arguments.GetNumber(s_seed, 0, int.MaxValue) ?? 1;
        long bandwidth = arguments.GetSize(s_bandwidth) ?? 64L << 20;
        DirectoryInfo? temporary = null;
        try
        {
            string directory = arguments.Get(s_directory) is { } wanted
                ? Make(wanted)
                : (temporary = Directory.CreateTempSubdirectory("blk-demo-")).FullName;
            var run = new DemoRun(new DemoOptions(directory, length, seed, bandwidth), context);
            return await run.PlayAsync(context.Console.Interrupted).ConfigureAwait(false) ? ExitCode.Success : ExitCode.Failure;
        }
        catch (DemoFailedException failure)
        {
            context.Console.Error.WriteLine($"blk demo: {failure.Message}");
            return ExitCode.Failure;
        }
        finally
        {
            temporary?.Delete(recursive: true);
        }
    }

    private static string Make(string directory)
    {
        try
        {
            return Directory.CreateDirectory(directory).FullName;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"-d: {error.Message}");
        }
    }
}
