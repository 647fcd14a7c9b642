using BlockLayer.Cli;
using Xunit;

namespace BlockLayer.Tests.Cli;

/// <summary>A copy onto the file that it is read from: no matter for another try, whatever the name that leads there.</summary>
public sealed class CopyOntoItselfTests : IDisposable
{
    private const string Itself = "It is the source of the copy, which cannot be copied onto itself.";
    private const string Part = "It is a part of the backing chain of '@disk', which cannot be copied onto it.";

    private readonly BlkRun _blk = new();

    [Theory]
    [InlineData("@disk", Itself, "convert", "-f", "qcow2", "-O", "qcow2", "@disk", "@disk")]
    [InlineData("@link", Itself, "convert", "-f", "qcow2", "-O", "raw", "@disk", "@link")]
    [InlineData("@disk", Itself, "convert", "-n", "-f", "qcow2", "-O", "qcow2", "@disk", "@disk")]
    [InlineData("@base", Part, "convert", "-f", "qcow2", "-O", "qcow2", "@disk", "@base")]
    [InlineData("@data", Part, "convert", "-f", "qcow2", "-O", "raw", "@disk", "@data")]
    [InlineData("@disk", Itself, "mirror", "-f", "qcow2", "@disk", "@disk")]
    [InlineData("@link", Itself, "mirror", "-f", "qcow2", "@disk", "@link")]
    [InlineData("@base", Part, "mirror", "-f", "qcow2", "@disk", "@base")]
    [InlineData("@disk", Itself, "map", "-f", "qcow2", "blkmirror:@disk:@disk")]
    public async Task It_is_refused_as_wrong_use_and_nothing_is_changed(string target, string reason, params string[] arguments)
    {
        await _blk.SucceedAsync("create", "-f", "qcow2", "-o", "data_file=data", "@base", "1M");
        await _blk.SucceedAsync("create", "-f", "qcow2", "-b", "base", "-F", "qcow2", "@disk");
        File.CreateSymbolicLink(_blk.Folder.File("link"), "disk");
        Dictionary<string, byte[]> before = Files();
        BlkRun.Outcome refused = await _blk.RunAsync(arguments);
        Assert.Equal((ExitCode.Failure, $"blk: {target}: {reason}\n"), (refused.Code, refused.Error));
        Assert.Equal(before, Files());
    }

    public void Dispose() => _blk.Dispose();

    private Dictionary<string, byte[]> Files() => Directory.GetFiles(_blk.Folder.Path).ToDictionary(path => path, File.ReadAllBytes);
}
