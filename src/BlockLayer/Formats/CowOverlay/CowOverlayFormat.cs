using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.CowOverlay;

/// <summary>
/// add-cow: an overlay over any backing file whose data is a raw file of its own, with a bitmap beside it. When everything is copied the raw file is the
/// disk. The format and our additions to it are described in this folder's README.
/// </summary>
public sealed class CowOverlayFormat : ImageFormat
{
    /// <summary>The format.</summary>
    public static CowOverlayFormat Instance { get; } = new();

    /// <inheritdoc/>
    public override string Name => "add-cow";

    /// <inheritdoc/>
    public override bool Probe(ReadOnlySpan<byte> head) => CowOverlayHeader.HasMagic(head);

    /// <inheritdoc/>
    public override ImageCreateOptions ParseCreateOptions(ImageCreateOptions basic, IReadOnlyDictionary<string, string> options)
    {
        var result = new CowOverlayCreateOptions { Length = basic.Length, Backing = basic.Backing, BackingNode = basic.BackingNode };
        foreach ((string name, string value) in options)
        {
            result = name switch
            {
                "image_file" => result with { ImageFile = value },
                "cluster_size" => result with { ClusterSize = ParseSize(name, value) },
                _ => throw new ArgumentException($"Format add-cow has no option '{name}'; it has image_file and cluster_size."),
            };
        }

        return result;
    }

    internal override async ValueTask<BlockNode> OpenAsync(BlockNode file, FormatOpenContext context, CancellationToken cancellationToken)
        => await CowOverlayNode.OpenAsync(file, context, cancellationToken).ConfigureAwait(false);

    internal override ValueTask InspectAsync(InspectionReader file, InspectionFindings findings, CancellationToken cancellationToken)
        => new CowOverlayInspector(file, findings).RunAsync(cancellationToken);

    internal override NewDataFile? DataFileOf(ImageCreateOptions options)
        => options is CowOverlayCreateOptions { ImageFile: { } name } ? new NewDataFile(name, Preallocation.Off) : null;

    internal override ValueTask ThrowIfCannotCreateAsync(string path, ImageCreateOptions options, BlockEnvironment environment, CancellationToken cancellationToken)
        => new CowOverlayCreator(path, options, environment).ThrowIfImpossibleAsync(cancellationToken);

    internal override ValueTask CreateAsync(BlockNode file, ImageCreateOptions options, CancellationToken cancellationToken)
        => new CowOverlayCreator(file.Path ?? file.NodeName, options, file.Environment).CreateAsync(file, cancellationToken);

    private static int ParseSize(string name, string value)
        => ByteSize.TryParse(value, out long bytes) && bytes <= int.MaxValue
            ? (int)bytes
            : throw new ArgumentException($"{name} is '{value}', which is no size.");
}
