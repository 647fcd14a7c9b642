using System.Diagnostics;
using Xunit;

namespace BlockLayer.TestKit;

/// <summary>One of QEMU's own programs (qemu-img, qemu-io, ...), run to its end. A test that needs one that is not installed is skipped.</summary>
public sealed class QemuTool
{
    // qemu-img times a key derivation before it makes a LUKS header. On a busy machine it can read no time at all from its clock, and then gives up having made
    // nothing that another run would not replace.
    private const string NothingMeasured = "Unable to get accurate CPU usage";
    private const int MaxMeasurements = 20;

    private readonly string _program;
    private readonly string _folder;

    private QemuTool(string program, string folder = "")
    {
        _program = program;
        _folder = folder;
    }

    /// <summary>The same program, run in a folder: QEMU looks there for data files with relative names, not beside the image.</summary>
    public QemuTool In(string folder) => new(_program, folder);

    /// <summary>The program of that name on the PATH, or the test is skipped with the reason.</summary>
    public static QemuTool Require(string name)
    {
        string? path = (Environment.GetEnvironmentVariable("PATH") ?? string.Empty)
            .Split(Path.PathSeparator)
            .Select(folder => Path.Combine(folder, name))
            .FirstOrDefault(File.Exists);
        Assert.SkipWhen(path is null, $"needs {name}, which is not installed");
        return new QemuTool(path!);
    }

    /// <summary>Runs the program and gives back what it said; a test decides itself what an exit code means.</summary>
    public QemuResult Run(params string[] arguments)
    {
        using Process process = Start(arguments);
        process.StandardInput.Close();
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        string error = errors.GetAwaiter().GetResult();
        process.WaitForExit();
        return new QemuResult(process.ExitCode, output, error);
    }

    /// <summary>Runs the program and fails the test unless it succeeds; its output.</summary>
    public string RunOk(params string[] arguments)
    {
        QemuResult result = Run(arguments);
        for (int attempt = 1; attempt < MaxMeasurements && result.Error.Contains(NothingMeasured, StringComparison.Ordinal); attempt++)
        {
            result = Run(arguments);
        }

        Assert.True(result.ExitCode == 0, $"{_program} {string.Join(' ', arguments)} gave {result.ExitCode}: {result.Error}");
        return result.Output;
    }

    /// <summary>Starts the program with all three streams redirected; for one that is talked to.</summary>
    public Process Start(params string[] arguments)
        => Process.Start(new ProcessStartInfo(_program, arguments)
        {
            WorkingDirectory = _folder,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
}
