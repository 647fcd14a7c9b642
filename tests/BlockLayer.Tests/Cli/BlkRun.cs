using BlockLayer.Cli;
using BlockLayer.Graph;
using BlockLayer.TestKit;

namespace BlockLayer.Tests.Cli;

/// <summary>
/// Runs <c>blk</c> in this process, in a folder of its own: a name in the arguments that starts with <c>@</c> is a file there, and is shown so in what is printed.
/// </summary>
internal sealed class BlkRun : IDisposable
{
    internal TemporaryFolder Folder { get; } = new();

    /// <summary>Runs one command line.</summary>
    internal async Task<Outcome> RunAsync(params string[] arguments)
    {
        using var console = new RecordingConsole();
        return await RunAsync(console, arguments);
    }

    internal Task<Outcome> RunAsync(RecordingConsole console, params string[] arguments) => RunAsync(console, environment: null, arguments);

    /// <summary>The same with a hook on one of the files.</summary>
    internal async Task<Outcome> RunAsync(string file, StorageHook hook, params string[] arguments)
    {
        using var console = new RecordingConsole();
        BlockEnvironment usual = BlockEnvironment.Default;
        return await RunAsync(console, usual with { Files = new HookedStorageProvider(usual.Files, Expand(file), hook) }, arguments);
    }

    internal async Task<Outcome> RunAsync(RecordingConsole console, BlockEnvironment? environment, params string[] arguments)
    {
        int code = await BlkProgram.RunAsync([.. arguments.Select(Expand)], console, environment);
        return new Outcome(code, Shorten(console.Out), Shorten(console.Error));
    }

    /// <summary>Runs one command line that has to succeed without a word on standard error, and returns what it prints.</summary>
    internal async Task<string> SucceedAsync(params string[] arguments)
    {
        Outcome outcome = await RunAsync(arguments);
        Xunit.Assert.Equal((ExitCode.Success, ""), (outcome.Code, outcome.Error));
        return outcome.Out;
    }

    public void Dispose() => Folder.Dispose();

    private string Expand(string argument) => argument.Replace("@", Folder.Path + "/", StringComparison.Ordinal);

    private string Shorten(TextWriter writer) => writer.ToString()!.Replace(Folder.Path + "/", "@", StringComparison.Ordinal);

    internal sealed record Outcome(int Code, string Out, string Error);
}
