using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Interop.Tests.Storage;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Interop.Tests.Graph;

/// <summary>An image below the top that we write for a while, as QEMU's programs see it: locked while it is written, sound and readable right afterwards.</summary>
public sealed class ReopenInteropTests : IDisposable
{
    private const int Offset = 300 * 1024;
    private const int Length = 200 * 1024;

    private readonly QemuTool _qemuImg = QemuTool.Require("qemu-img");
    private readonly QemuTool _qemuIo = QemuTool.Require("qemu-io");
    private readonly TemporaryFolder _folder = new();
    private readonly string _base;
    private readonly string _top;

    public ReopenInteropTests()
    {
        Assert.SkipUnless(LinuxPlatform.IsSupported, "QEMU's image locks are taken on Linux only");
        (_base, _top) = (_folder.File("base"), _folder.File("top.qcow2"));
    }

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("raw", "")]
    [InlineData("qcow2", "compat=0.10")]
    [InlineData("qcow2", "compat=1.1,extended_l2=on")]
    [InlineData("qcow2", "data_file=base.data")]
    [InlineData("qcow2", "data_file=base.data,data_file_raw=on")]
    [InlineData("qed", "")]
    public async Task Others_are_kept_out_while_we_write_and_then_find_what_we_wrote(string format, string options)
    {
        Create(format, options);
        await using BlockNode top = await OpenAsync();
        AssertReadable(format);

        WritingJob job = await WritingJob.StartAsync(top.Backing!);
        byte[] written = Enumerable.Repeat((byte)0x5a, Length).ToArray();
        await job.Way.WriteAsync(Offset, written, CancellationToken.None);
        Assert.NotEqual(0, _qemuIo.Run("-f", format, "-c", "read 0 512", _base).ExitCode);
        if (format != "raw") // of a raw image its readers share everything
        {
            Assert.NotEqual(0, _qemuIo.Run("-r", "-f", format, "-c", "read 0 512", _base).ExitCode);
            QemuResult info = _qemuImg.Run("info", "-f", format, _base);
            Assert.True(info.ExitCode != 0 && info.Error.Contains("shared \"write\"", StringComparison.Ordinal), info.Error);
        }

        Assert.Equal(0, _qemuImg.Run("info", "--force-share", "-f", format, _base).ExitCode);
        await job.EndAsync();

        AssertReadable(format); // our disk is still open
        QemuResult writer = _qemuIo.Run("-f", format, "-c", "write 0 512", _base);
        Assert.True(format == "raw" || writer.ExitCode != 0, "a writer comes in under our overlay");
        string found = _qemuIo.RunOk("-r", "-f", format, "-c", $"read -P 0x5a {Offset} {Length}", _base);
        Assert.DoesNotContain("verification failed", found, StringComparison.Ordinal);
        if (format != "raw")
        {
            QemuResult check = _qemuImg.Run("check", "-f", format, _base);
            Assert.True(check.ExitCode == 0 && check.Output.Contains("No errors", StringComparison.Ordinal), check.Output + check.Error);
        }
    }

    [Theory]
    [InlineData("qcow2", "")]
    [InlineData("qed", "")]
    [InlineData("qcow2", "data_file=base.data")]
    public async Task A_program_that_reads_the_base_keeps_us_from_writing_it_and_nothing_changes(string format, string options)
    {
        Create(format, options);
        await using BlockNode top = await OpenAsync();
        using (new OpenInQemuIo("-r", "-f", format, _base))
        {
            BlockLayerException refused = await Assert.ThrowsAsync<BlockLayerException>(async () => await WritingJob.StartAsync(top.Backing!));
            Assert.Equal(
                (BlockErrorKind.Conflict, $"'{_base}' cannot be made writable: Somebody else has the image open and does not share the permission \"write\"."),
                (refused.Kind, refused.Message));
            AssertReadable(format);
        }

        await (await WritingJob.StartAsync(top.Backing!)).EndAsync();
    }

    private void Create(string format, string options)
    {
        string[] given = options.Length == 0 ? [] : ["-o", options.Replace("base.data", _folder.File("base.data"), StringComparison.Ordinal)];
        _qemuImg.RunOk(["create", "-q", "-f", format, .. given, _base, "1M"]);
        _qemuIo.RunOk("-f", format, "-c", "write -P 1 0 64k", _base);
        _qemuImg.RunOk("create", "-q", "-f", "qcow2", "-b", _base, "-F", format, _top);
    }

    private void AssertReadable(string format)
        => Assert.DoesNotContain("failed", _qemuIo.RunOk("-r", "-f", format, "-c", "read -P 1 0 64k", _base), StringComparison.Ordinal);

    private ValueTask<BlockNode> OpenAsync()
        => new ImageOpener(BuiltInFormats.All, BlockEnvironment.Default).OpenAsync(_top, new ImageOpenOptions { Format = "qcow2", Access = NodeAccess.ReadWrite });
}
