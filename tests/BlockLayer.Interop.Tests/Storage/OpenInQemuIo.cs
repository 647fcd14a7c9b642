using System.Diagnostics;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Interop.Tests.Storage;

/// <summary>An image that a running qemu-io has open, with its locks, until disposed.</summary>
internal sealed class OpenInQemuIo : IDisposable
{
    private readonly Process _process;

    /// <summary>Starts qemu-io with these arguments and returns when it has the image open.</summary>
    internal OpenInQemuIo(params string[] arguments)
    {
        _process = QemuTool.Require("qemu-io").Start(arguments);
        _process.StandardInput.WriteLine("length");
        _process.StandardInput.Flush();
        string? answer = _process.StandardOutput.ReadLine();
        Assert.True(answer is not null, $"qemu-io opens {string.Join(' ', arguments)}: {(answer is null ? _process.StandardError.ReadToEnd() : string.Empty)}");
    }

    public void Dispose()
    {
        _process.StandardInput.Close();
        _process.WaitForExit();
        _process.Dispose();
    }
}
