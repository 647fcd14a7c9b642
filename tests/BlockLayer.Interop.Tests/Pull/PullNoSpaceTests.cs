using BlockLayer.Cli;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Interop.Tests.Kill;
using BlockLayer.Simulation;
using BlockLayer.TestKit;
using BlockLayer.Tests.Cli;
using Xunit;

namespace BlockLayer.Interop.Tests.Pull;

/// <summary>
/// A disk that fills up in the middle of a pull: a clear error, nothing lost, the images below untouched, and the pull completes once there is room.
/// </summary>
public sealed class PullNoSpaceTests
{
    private static readonly string[] s_names = ["template", "intermediate", "current"];

    // The disk is full from the first change of the image on, then from the second, ... until a pull needs no more.
    [Theory]
    [InlineData("qcow2", false)]
    [InlineData("qcow2", true)]
    [InlineData("qed", false)]
    [InlineData("qed", true)]
    public async Task Full_disk_at_any_write_of_a_pull_loses_nothing(string format, bool stopsAtTemplate)
    {
        using KillChain chain = await KillChain.CreateAsync(format, reduction: 8);
        string[] pull = ["pull", "/current", .. stopsAtTemplate ? ["--base", "/template"] : Array.Empty<string>()];
        int failures = 0;
        for (bool failed = true; failed; failures += failed ? 1 : 0)
        {
            SimulatedStorageProvider storage = await LoadAsync(chain);
            storage.Faults.Add(new FaultRule { Operations = StorageOperations.AnyChange, Path = "/current", Skip = failures, Kind = BlockErrorKind.NoSpace });
            BlockEnvironment environment = SimulatedEnvironment.Inline(storage);
            using var console = new RecordingConsole();
            int code = await BlkProgram.RunAsync(pull, console, environment);
            failed = code != ExitCode.Success;
            Assert.True(!failed || console.Error.ToString()!.EndsWith(" Make room and run it again.\n", StringComparison.Ordinal), console.Error.ToString());
            Assert.Equal(failed ? ExitCode.Failure : ExitCode.Success, code);
            storage.Faults.Clear();

            await AssertContentAsync(chain, environment);
            using var again = new RecordingConsole();
            Assert.Equal(ExitCode.Success, await BlkProgram.RunAsync(pull, again, environment));
            await AssertContentAsync(chain, environment);
            Assert.Equal(await File.ReadAllBytesAsync(chain.Template), storage.ReadFile("/template"));
            Assert.Equal(await File.ReadAllBytesAsync(chain.PathOf("intermediate")), storage.ReadFile("/intermediate"));
        }

        Assert.True(failures > 4, $"only {failures} writes met the full disk");
    }

    [Theory]
    [InlineData("qcow2")]
    [InlineData("qed")]
    public async Task Full_file_system_in_the_middle_of_a_pull_loses_nothing(string format)
    {
        using KillChain chain = await KillChain.CreateAsync(format);
        using var small = new TemporaryFileSystem(megabytes: 4);
        byte[] below = await File.ReadAllBytesAsync(chain.Current);
        string top = Path.Combine(small.Path, "top");
        QemuTool qemuImg = QemuTool.Require("qemu-img");
        qemuImg.RunOk("create", "-q", "-f", format, "-b", chain.Current, "-F", format, top);
        using var blk = new BlkRun();
        string[] pull = ["pull", top, "--allow", Path.GetDirectoryName(chain.Current)!];

        BlkRun.Outcome outcome = await blk.RunAsync(pull);

        Assert.Equal((ExitCode.Failure, ""), (outcome.Code, outcome.Out));
        Assert.EndsWith("Make room and run it again.\n", outcome.Error, StringComparison.Ordinal);
        Assert.True(qemuImg.Run("check", "-f", format, top).ExitCode is 0 or 3);
        AssertIdentical();
        small.Grow(megabytes: 16);
        await blk.SucceedAsync([.. pull, "--quiet"]);
        AssertIdentical();
        Assert.Equal(below, await File.ReadAllBytesAsync(chain.Current));

        void AssertIdentical() => Assert.Equal("Images are identical.\n", qemuImg.RunOk("compare", "-f", "raw", "-F", format, chain.Expected, top));
    }

    private static async Task<SimulatedStorageProvider> LoadAsync(KillChain chain)
    {
        var storage = new SimulatedStorageProvider();
        foreach (string name in s_names)
        {
            storage.AddFile("/" + name, await File.ReadAllBytesAsync(chain.PathOf(name)));
        }

        return storage;
    }

    private static async Task AssertContentAsync(KillChain chain, BlockEnvironment environment)
    {
        await using Disk disk = await Disk.OpenAsync("/current", new DiskOptions { Environment = environment });
        byte[] content = new byte[disk.Length];
        await disk.ReadAsync(0, content);
        Assert.True(content.AsSpan().SequenceEqual(chain.Content), "the disk reads something else");
        Assert.Equal(0, (await ImageChecker.CheckAsync(disk.Root)).Corruptions);
    }
}
