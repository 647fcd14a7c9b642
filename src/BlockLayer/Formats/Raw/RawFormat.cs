using BlockLayer.Graph;

namespace BlockLayer.Formats.Raw;

/// <summary>The raw format: the file is the disk, byte for byte.</summary>
public sealed class RawFormat : ImageFormat
{
    /// <summary>The format.</summary>
    public static RawFormat Instance { get; } = new();

    /// <inheritdoc/>
    public override string Name => "raw";

    /// <summary>Never: a guest chooses what its raw disk starts with, so raw is said, not recognised.</summary>
    public override bool Probe(ReadOnlySpan<byte> head) => false;

    /// <inheritdoc/>
    public override ImageCreateOptions ParseCreateOptions(ImageCreateOptions basic, IReadOnlyDictionary<string, string> options)
        => options.Count == 0
            ? basic
            : throw new ArgumentException($"Format raw has no option '{options.Keys.First()}'; it has none.");

    internal override ValueTask<BlockNode> OpenAsync(BlockNode file, FormatOpenContext context, CancellationToken cancellationToken)
        => new(new RawNode(context.NodeName, file, context.Access, context.RuledOut));

    /// <summary>Every file is a raw disk, and none of its bytes means anything to whoever opens it as one.</summary>
    internal override ValueTask InspectAsync(InspectionReader file, InspectionFindings findings, CancellationToken cancellationToken)
    {
        findings.VirtualSize = file.Length;
        return ValueTask.CompletedTask;
    }

    internal override async ValueTask CreateAsync(BlockNode file, ImageCreateOptions options, CancellationToken cancellationToken)
    {
        if (options.Backing is { } backing)
        {
            throw new ArgumentException($"A raw image cannot have a backing file; {backing} was asked for.");
        }

        await file.ResizeAsync(options.Length, ResizeOptions.GrowOnly, cancellationToken).ConfigureAwait(false);
        await file.FlushAsync(cancellationToken).ConfigureAwait(false);
    }
}
