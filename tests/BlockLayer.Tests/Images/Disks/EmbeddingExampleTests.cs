using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Images;

/// <summary>The code that README.md shows, compiled and run.</summary>
public sealed class EmbeddingExampleTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    [Fact]
    public async Task The_example_does_what_it_says()
    {
        string template = await CreateAsync("template.qcow2", backing: null);
        string intermediate = await CreateAsync("intermediate.qcow2", template);
        string current = await CreateAsync("current.qcow2", intermediate);
        using var output = new StringWriter();
        await RunAsync(current, template, output);
        Assert.EndsWith("Completed: 1048576 of 1048576 bytes\n", output.ToString().ReplaceLineEndings("\n"), StringComparison.Ordinal);

        await using Disk disk = await Disk.OpenAsync(current, new DiskOptions { Access = NodeAccess.ReadOnly });
        Assert.Equal([current, template], disk.Chain.Select(image => Path.GetFullPath(image.Path!)));
        byte[] copied = new byte[512];
        await disk.ReadAsync(8192, copied);
        Assert.Equal(Pattern.Of(0, 512, writer: 1), copied);
    }

    public void Dispose() => _folder.Dispose();

    private static async Task RunAsync(string current, string template, TextWriter output)
    {
        // README begins
        await using Disk disk = await Disk.OpenAsync(current);              // the whole chain: template <- intermediate <- current

        byte[] sector = new byte[512];
        await disk.ReadAsync(0, sector);
        await disk.WriteAsync(8192, sector);
        await disk.FlushAsync();                                            // durable from here on

        StreamJob pull = await disk.StartPullAsync(new StreamOptions { BaseName = template, BytesPerSecond = 100_000_000 });
        await disk.WriteAsync(65536, sector);                               // the guest goes on meanwhile
        output.WriteLine($"{pull.Progress.Current} of {pull.Progress.End} bytes");

        JobResult result = await pull.Completion;                           // the chain is template <- current, durably
        output.WriteLine($"{result.Outcome}: {result.Progress.Current} of {result.Progress.End} bytes");
        // README ends
    }

    private async Task<string> CreateAsync(string name, string? backing)
    {
        string path = _folder.File(name);
        BackingReference? reference = backing is null ? null : new BackingReference(Path.GetFileName(backing), "qcow2");
        var image = new NewImage { Format = "qcow2", Length = 1 << 20, Backing = reference };
        await using Disk disk = await Disk.CreateAsync(path, image);
        await disk.WriteAsync(0, Pattern.Of(0, 512, writer: 1));
        return path;
    }
}
