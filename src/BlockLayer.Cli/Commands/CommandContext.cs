using BlockLayer.Cli.CommandLine;
using BlockLayer.Cli.Terminal;
using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Images;

namespace BlockLayer.Cli.Commands;

/// <summary>What a command works with.</summary>
internal sealed class CommandContext(IConsole console, ParsedArguments arguments, BlockEnvironment environment)
{
    internal IConsole Console => console;

    internal TextWriter Out => console.Out;

    internal BlockEnvironment Environment => environment;

    internal static FormatRegistry Formats => BuiltInFormats.All;

    internal ImageOpener Opener => new(Formats, environment);

    /// <summary>Opens what the user named: an image, or filters on images.</summary>
    /// <exception cref="UsageException">The name cannot be read.</exception>
    internal ValueTask<BlockNode> OpenAsync(string name, ImageOpenOptions options, MirrorOptions? mirror = null)
    {
        var opener = new FilterOpener(Opener, environment) { Mirror = mirror ?? new MirrorOptions() };
        return ReadingAsync(name, async () => await opener.OpenAsync(name, options with { Secrets = Secrets }, console.Interrupted).ConfigureAwait(false));
    }

    /// <summary>The same as a disk.</summary>
    /// <exception cref="UsageException">The name cannot be read.</exception>
    internal ValueTask<Disk> OpenDiskAsync(string name, DiskOptions options)
        => ReadingAsync(name, async () => await Disk.OpenByNameAsync(name, options with { Secrets = Secrets }, mirror: null, console.Interrupted).ConfigureAwait(false));

    private static async ValueTask<T> ReadingAsync<T>(string name, Func<ValueTask<T>> open)
    {
        try
        {
            return await open().ConfigureAwait(false);
        }
        catch (ArgumentException error) when (FilterName.IsOne(name))
        {
            throw new UsageException(error);
        }
    }

    /// <summary>
    /// What images may refer to: files beside them, beside the files that the user named, and where the user says; with --trust, anything.
    /// </summary>
    internal OpenPolicy PolicyFor(params ReadOnlySpan<string> namedFiles)
    {
        if (arguments.Has(CommonOptions.Trust))
        {
            return OpenPolicy.QemuCompatible;
        }

        var roots = new List<string>(arguments.GetAll(CommonOptions.Allow));
        foreach (string name in namedFiles)
        {
            roots.AddRange(FilesIn(name).Select(static file => Path.GetDirectoryName(file) is { Length: > 0 } directory ? directory : "."));
        }

        return OpenPolicy.Default with { AllowedRoots = roots };
    }

    private static IEnumerable<string> FilesIn(string name)
    {
        try
        {
            return FilterName.FilesIn(name);
        }
        catch (ArgumentException error)
        {
            throw new UsageException(error);
        }
    }

    /// <summary>The passphrases that the user put into files.</summary>
    internal required ImageSecrets Secrets { get; init; }

    /// <summary>Whether images are opened with their locks.</summary>
    internal ImageLocking Locking => arguments.Has(CommonOptions.ForceShare) ? ImageLocking.Ignore : ImageLocking.Take;

    /// <summary>Shows progress as the user wants it, until it is disposed.</summary>
    internal ProgressLine ShowProgress()
    {
        ProgressStyle style = arguments.Has(CommonOptions.Quiet) ? ProgressStyle.None
            : console.IsErrorTerminal ? ProgressStyle.Bar
            : arguments.Has(CommonOptions.Progress) ? ProgressStyle.Lines
            : ProgressStyle.None;
        return new ProgressLine(console.Error, environment.Time, style, () => console.Columns);
    }

    /// <summary>Prints a line about what went wrong, fit for a terminal whatever names are in it.</summary>
    internal void Complain(string line) => console.Error.WriteLine(PrintableText.Of(line));

    /// <summary>Prints a line of a result, fit for a terminal whatever names are in it, unless the user wants quiet.</summary>
    internal void Say(string line)
    {
        if (!arguments.Has(CommonOptions.Quiet))
        {
            Out.WriteLine(PrintableText.Of(line));
        }
    }
}
