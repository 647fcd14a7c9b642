using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;

namespace BlockLayer.Interop.Tests.Kill;

/// <summary>Real files for jobs to work on: template &lt;- intermediate &lt;- current, in a folder of their own, and what the disk reads.</summary>
internal sealed class KillChain : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly int _reduction;

    private KillChain(string format, string templateFormat, int reduction)
    {
        Format = format;
        TemplateFormat = templateFormat;
        _reduction = reduction;
        Content = new byte[(6 << 20) / reduction];
    }

    /// <summary>Of the images above the template.</summary>
    internal string Format { get; }

    internal string TemplateFormat { get; }

    internal string Current => _folder.File("current");

    internal string Intermediate => _folder.File("intermediate");

    internal string Template => _folder.File("template");

    /// <summary>What the disk read before anything was done to it, as a raw image.</summary>
    internal string Expected => _folder.File("expected");

    internal byte[] Content { get; }

    /// <summary>The names of the images before any job, newest first.</summary>
    internal static IReadOnlyList<string> Before => ["current", "intermediate", "template"];

    /// <param name="format">Of the images above the template.</param>
    /// <param name="templateFormat">Of the template, which is shorter than the disk.</param>
    /// <param name="reduction">1 for a disk of 6 MiB, 8 for an eighth of it in every way.</param>
    internal static async Task<KillChain> CreateAsync(string format, string templateFormat = "raw", int reduction = 1)
    {
        var chain = new KillChain(format, templateFormat, reduction);
        int templateLength = (5 << 20) / reduction;
        await chain.AddAsync("template", new NewImage { Format = templateFormat, Length = templateLength }, writer: 1, (0, 5 << 20));
        NewImage On(string below, string belowFormat) => new() { Format = format, Length = chain.Content.Length, Backing = new BackingReference(below, belowFormat) };
        await chain.AddAsync("intermediate", On("template", templateFormat), writer: 2, (0, 700_000), (2_000_000, 900_000), (4_900_000, 1_000_000));
        await chain.AddAsync("current", On("intermediate", format), writer: 3, (1_000_000, 300_000), (5_500_000, 4096));
        await File.WriteAllBytesAsync(chain.Expected, chain.Content);
        return chain;
    }

    /// <summary>A path in the chain's folder.</summary>
    internal string PathOf(string name) => _folder.File(name);

    public void Dispose() => _folder.Dispose();

    private async Task AddAsync(string name, NewImage image, int writer, params (int Offset, int Length)[] runs)
    {
        await using Disk disk = await Disk.CreateAsync(_folder.File(name), image);
        foreach ((int offset, int length) in runs.Select(run => (run.Offset / _reduction, run.Length / _reduction)))
        {
            byte[] data = Pattern.Of(offset, length, writer);
            data.CopyTo(Content, offset);
            await disk.WriteAsync(offset, data);
        }

        await disk.FlushAsync();
    }
}
