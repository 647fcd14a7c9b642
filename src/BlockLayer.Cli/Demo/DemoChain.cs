using BlockLayer.Graph;
using BlockLayer.Images;

namespace BlockLayer.Cli.Demo;

/// <summary>Makes the images of the demo, and knows what each of them shows.</summary>
internal sealed class DemoChain
{
    private const int ExtentLength = 1 << 20;

    private readonly DemoOptions _options;
    private readonly Random _random;

    internal DemoChain(DemoOptions options)
    {
        _options = options;
        _random = new Random(options.Seed);
        Template = Path.Combine(options.Directory, "template.qcow2");
        Intermediate = Path.Combine(options.Directory, "intermediate.qcow2");
        Current = Path.Combine(options.Directory, "current.qcow2");
        Model = new DiskModel(options.Length);
        TemplateModel = Model;
    }

    internal string Template { get; }

    internal string Intermediate { get; }

    internal string Current { get; }

    /// <summary>What <see cref="Current"/> shows.</summary>
    internal DiskModel Model { get; }

    /// <summary>What <see cref="Template"/> shows, whatever happens above it.</summary>
    internal DiskModel TemplateModel { get; private set; }

    /// <summary>Creates the three images and writes a share of the disk into each.</summary>
    internal async Task MakeAsync(CancellationToken cancellationToken)
    {
        await MakeAsync(Template, backing: null, share: 0.5, write: 1, cancellationToken).ConfigureAwait(false);
        TemplateModel = Model.Copy();
        await MakeAsync(Intermediate, Template, share: 0.4, write: 2, cancellationToken).ConfigureAwait(false);
        await MakeAsync(Current, Intermediate, share: 0.05, write: 3, cancellationToken).ConfigureAwait(false);
    }

    private async Task MakeAsync(string path, string? backing, double share, uint write, CancellationToken cancellationToken)
    {
        var image = new NewImage
        {
            Format = "qcow2",
            Length = _options.Length,
            Backing = backing is null ? null : new BackingReference(Path.GetFileName(backing), "qcow2"),
        };
        Disk disk = await Disk.CreateAsync(path, image, cancellationToken: cancellationToken).ConfigureAwait(false);
        await using (disk.ConfigureAwait(false))
        {
            byte[] buffer = new byte[ExtentLength];
            for (long offset = 0; offset < _options.Length; offset += ExtentLength)
            {
                if (_random.NextDouble() < share)
                {
                    DiskModel.Fill(buffer, offset, write);
                    await disk.WriteAsync(offset, buffer, cancellationToken: cancellationToken).ConfigureAwait(false);
                    Model.Record(offset, ExtentLength, write);
                }
            }

            await disk.FlushAsync(cancellationToken).ConfigureAwait(false);
        }
    }
}
