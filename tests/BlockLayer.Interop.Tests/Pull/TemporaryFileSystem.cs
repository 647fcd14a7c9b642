using System.Diagnostics;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Interop.Tests.Pull;

/// <summary>A file system in memory with little room, mounted until disposed. A test is skipped where none can be mounted: it takes root.</summary>
internal sealed class TemporaryFileSystem : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    internal TemporaryFileSystem(int megabytes)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs tmpfs");
        bool isMounted = Run("mount", "-t", "tmpfs", "-o", $"size={megabytes}m", "blocklayer-test", Path) == 0;
        if (!isMounted)
        {
            _folder.Dispose();
            Assert.Skip("needs the right to mount a tmpfs");
        }
    }

    internal string Path => _folder.Path;

    /// <summary>Makes room.</summary>
    internal void Grow(int megabytes) => Assert.Equal(0, Run("mount", "-o", $"remount,size={megabytes}m", Path));

    public void Dispose()
    {
        Assert.Equal(0, Run("umount", Path));
        _folder.Dispose();
    }

    private static int Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        process.StandardError.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode;
    }
}
