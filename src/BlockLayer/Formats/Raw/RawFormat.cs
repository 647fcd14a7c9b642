using BlockLayer.Graph;

namespace BlockLayer.Formats.Raw;

/// <summary>The raw format: the file is the disk, byte for byte, or a window of it is.</summary>
public sealed class RawFormat : ImageFormat
{
    private readonly RawWindow _window;

    private RawFormat(RawWindow window) => _window = window;

    /// <summary>The format.</summary>
    public static RawFormat Instance { get; } = new(RawWindow.All);

    /// <inheritdoc/>
    public override string Name => "raw";

    /// <summary>Never: a guest chooses what its raw disk starts with, so raw is said, not recognised.</summary>
    public override bool Probe(ReadOnlySpan<byte> head) => false;

    /// <inheritdoc/>
    public override ImageCreateOptions ParseCreateOptions(ImageCreateOptions basic, IReadOnlyDictionary<string, string> options)
        => RawCreateOptions.Parse(basic, options);

    /// <inheritdoc/>
    public override ImageFormat WithOpenOptions(IReadOnlyDictionary<string, string> options)
        => options.Count == 0 ? this : new RawFormat(RawWindow.Parse(options));

    internal override ValueTask<BlockNode> OpenAsync(BlockNode file, FormatOpenContext context, CancellationToken cancellationToken)
        => new(new RawNode(context.NodeName, file, context.Access, context.RuledOut, _window));

    /// <summary>Every file is a raw disk, and none of its bytes means anything to whoever opens it as one.</summary>
    internal override ValueTask InspectAsync(InspectionReader file, InspectionFindings findings, CancellationToken cancellationToken)
    {
        findings.VirtualSize = file.Length;
        return ValueTask.CompletedTask;
    }

    internal override ValueTask ThrowIfCannotCreateAsync(string path, ImageCreateOptions options, BlockEnvironment environment, CancellationToken cancellationToken)
    {
        ThrowIfBacked(options);
        return ValueTask.CompletedTask;
    }

    internal override async ValueTask CreateAsync(BlockNode file, ImageCreateOptions options, CancellationToken cancellationToken)
    {
        ThrowIfBacked(options);
        Preallocation preallocation = (options as RawCreateOptions)?.Preallocation ?? Preallocation.Off;
        file.AddReference(); // the node lets its file go when it is closed; the caller's stays open
        var node = new RawNode(file.NodeName, file, NodeAccess.ReadWrite);
        await using (node.ConfigureAwait(false))
        {
            await node.ResizeAsync(options.Length, new ResizeOptions { Preallocation = preallocation }, cancellationToken).ConfigureAwait(false);
            await node.FlushAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    private static void ThrowIfBacked(ImageCreateOptions options)
    {
        if (options.Backing is { } backing)
        {
            throw new ArgumentException($"A raw image cannot have a backing file; {backing} was asked for.");
        }
    }
}
