using System.Diagnostics;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Interop.Tests.Storage;

/// <summary>A block device of the kernel over a file, until disposed. A test is skipped where none can be made: it takes root and the loop driver.</summary>
internal sealed class LoopDevice : IDisposable
{
    internal LoopDevice(TemporaryFolder folder, long length)
    {
        Assert.SkipUnless(File.Exists("/usr/sbin/losetup") || File.Exists("/sbin/losetup"), "needs losetup");
        string file = folder.File("device");
        using (FileStream stream = File.Create(file))
        {
            stream.SetLength(length);
        }

        (int exitCode, string output) = Run("--find", "--show", file);
        Assert.SkipUnless(exitCode == 0, "needs the right to set up a loop device");
        Path = output.Trim();
    }

    internal string Path { get; }

    public void Dispose() => Assert.Equal(0, Run("--detach", Path).ExitCode);

    private static (int ExitCode, string Output) Run(params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo("losetup", arguments) { RedirectStandardOutput = true })!;
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output);
    }
}
