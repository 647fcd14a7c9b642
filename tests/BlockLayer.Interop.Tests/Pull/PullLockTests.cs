using BlockLayer.Cli;
using BlockLayer.Graph;
using BlockLayer.Interop.Tests.Kill;
using BlockLayer.Interop.Tests.Storage;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.Tests.Cli;
using Xunit;

namespace BlockLayer.Interop.Tests.Pull;

/// <summary>An image belongs to <c>blk pull</c> or to a program of QEMU, never to both.</summary>
public sealed class PullLockTests
{
    private readonly QemuTool _qemuIo = QemuTool.Require("qemu-io");

    public PullLockTests() => Assert.SkipUnless(LinuxPlatform.IsSupported, "QEMU's image locks are taken on Linux only");

    [Theory]
    [InlineData("qcow2")]
    [InlineData("qed")]
    public async Task Pull_of_an_image_that_is_open_in_qemu_io_is_refused_and_changes_nothing(string format)
    {
        using KillChain chain = await KillChain.CreateAsync(format, reduction: 8);
        using var blk = new BlkRun();
        using (new OpenInQemuIo("-f", format, chain.Current))
        {
            byte[] before = await File.ReadAllBytesAsync(chain.Current);
            BlkRun.Outcome outcome = await blk.RunAsync("pull", chain.Current);
            Assert.Equal(ExitCode.InUse, outcome.Code);
            Assert.Equal("", outcome.Out);
            Assert.StartsWith(
                $"blk: {chain.Current}: Somebody else has the image open and does not share the permission \"write\".", outcome.Error, StringComparison.Ordinal);
            Assert.Equal(before, await File.ReadAllBytesAsync(chain.Current));
        }

        Assert.Equal(ExitCode.Success, (await blk.RunAsync("pull", chain.Current)).Code);
    }

    [Fact]
    public async Task Pull_from_a_template_that_qemu_io_is_writing_is_refused_and_changes_nothing()
    {
        using KillChain chain = await KillChain.CreateAsync("qcow2", reduction: 8);
        using var blk = new BlkRun();
        using var writer = new OpenInQemuIo("-f", "raw", chain.Template);
        byte[] before = await File.ReadAllBytesAsync(chain.Current);

        BlkRun.Outcome outcome = await blk.RunAsync("pull", chain.Current);

        Assert.Equal(ExitCode.InUse, outcome.Code);
        Assert.StartsWith(
            $"blk: {chain.Template}: The backing file '{chain.Template}' of '{chain.PathOf("intermediate")}' cannot be opened: "
            + "Somebody else has the image open and uses the permission \"write\", which is not to be shared.",
            outcome.Error,
            StringComparison.Ordinal);
        Assert.Equal(before, await File.ReadAllBytesAsync(chain.Current));
    }

    [Theory]
    [InlineData("qcow2")]
    [InlineData("qed")]
    public async Task Qemu_io_on_an_image_that_is_being_pulled_is_refused(string format)
    {
        using KillChain chain = await KillChain.CreateAsync(format, reduction: 8);
        var intruder = new Intruder(() =>
        [
            _qemuIo.Run("-f", format, "-c", "write -P 255 0 64k", chain.Current),
            _qemuIo.Run("-f", "raw", "-c", "write -P 255 0 64k", chain.Template),
        ]);
        var files = new HookedStorageProvider(LocalStorageProvider.Instance, chain.Current, intruder);
        using var console = new RecordingConsole();

        Assert.Equal(ExitCode.Success, await BlkProgram.RunAsync(["pull", chain.Current], console, BlockEnvironment.Default with { Files = files }));

        Assert.Equal(2, intruder.Results.Count);
        Assert.All(intruder.Results, static result => Assert.Contains("Failed to get \"write\" lock", result.Error, StringComparison.Ordinal));
        Assert.All(intruder.Results, static result => Assert.Equal(1, result.ExitCode));
        Assert.Equal(
            "Images are identical.\n", QemuTool.Require("qemu-img").RunOk("compare", "-f", "raw", "-F", format, chain.Expected, chain.Current));
    }

    /// <summary>Does something once, in the middle of the copying.</summary>
    private sealed class Intruder(Func<IReadOnlyList<QemuResult>> intrude) : StorageHook
    {
        private int _writes; // interlocked

        internal IReadOnlyList<QemuResult> Results { get; private set; } = [];

        public override ValueTask WriteAsync(BlockStorage file, long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
        {
            if (Interlocked.Increment(ref _writes) == 2)
            {
                Results = intrude();
            }

            return base.WriteAsync(file, offset, data, cancellationToken);
        }
    }
}
