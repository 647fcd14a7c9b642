using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Images;

/// <summary>One disk that is to go on with an overlay: the overlay's file, its node, and the change of the graph.</summary>
internal sealed class OverlaySwitch
{
    private const int CompareLength = 1 << 20; // bytes of an existing overlay that are compared at once

    private readonly string _path;
    private readonly OverlayOptions _options;
    private readonly List<BlockNode> _released = [];
    private BlockNode? _overlay;  // ours until it is switched to
    private string[] _created = []; // removed again unless it is switched to

    internal OverlaySwitch(DiskOverlay overlay)
    {
        Disk = overlay.Disk;
        _path = overlay.Path;
        _options = overlay.Options ?? new OverlayOptions();
        Image = Disk.Root.SkipFilters();
    }

    internal Disk Disk { get; }

    /// <summary>The disk's newest image until the switch.</summary>
    internal BlockNode Image { get; }

    internal BlockEnvironment Environment => Image.Environment;

    private string By => $"The snapshot '{_path}'";

    /// <summary>Creates the overlay, unless it is to exist, and opens it. Nothing of the disk changes.</summary>
    internal async ValueTask OpenAsync(CancellationToken cancellationToken)
    {
        ThrowIfUnfit();
        if (_options.Source == OverlaySource.Create)
        {
            await CreateAsync(cancellationToken).ConfigureAwait(false);
        }

        var opener = new ImageOpener(_options.Formats, Environment);
        var how = new ImageOpenOptions
        {
            Format = _options.Format,
            Access = NodeAccess.ReadWrite,
            Backing = BackingMode.Ignore,
            Policy = _options.Policy,
            Secrets = _options.Secrets,
        };
        _overlay = await opener.OpenAsync(_path, how, cancellationToken).ConfigureAwait(false);
        ThrowIfNoOverlay(_overlay);
    }

    /// <summary>Makes sure that the disk can go on with the overlay, while guests are held back.</summary>
    internal async ValueTask ThrowIfUnfitAsync()
    {
        ThrowIfUnfit();
        BlockNode overlay = _overlay!;
        if (overlay.Length != Image.Length)
        {
            throw Refusal(BlockErrorKind.Conflict, $"'{_path}' is {overlay.Length} bytes long, and the disk {Image.Length}.");
        }

        foreach (BlockEdge link in Image.Parents)
        {
            if (link.Role != EdgeRole.Filtered)
            {
                throw Refusal(BlockErrorKind.Conflict, $"{By} needs '{Image.NodeName}' for its disk alone, and '{link.Parent.NodeName}' uses it as its {link.Role} child.");
            }

            ThrowIfTooCoarse(link.Parent, overlay);
            link.Parent.ThrowIfCannotReplaceChild(link, overlay);
        }

        if (overlay is IVerifiesBacking verifier)
        {
            await verifier.VerifyBackingAsync(Image, CancellationToken.None).ConfigureAwait(false); // this moment's content is what stays below
        }

        if (_options.Source == OverlaySource.Existing)
        {
            await ThrowIfDifferentAsync(overlay).ConfigureAwait(false);
        }
    }

    /// <summary>Makes the overlay the disk's newest image. It was looked at before, and guests are held back, so that nothing can fail.</summary>
    internal void Switch(GraphChange change)
    {
        BlockNode overlay = _overlay!;
        _overlay = null;
        _created = [];
        change.Drain.Adopt(overlay);
        foreach (BlockEdge link in Image.Parents)
        {
            overlay.AddReference();
            _released.Add(link.Parent is FilterNode filter ? filter.Refilter(overlay) : link.Parent.ReplaceChild(link, overlay));
        }

        Image.AddReference();
        overlay.AttachBacking(Image);
        _released.Add(overlay);
    }

    /// <summary>Gives back what was taken, all that can be; an overlay that was created and is not used is removed.</summary>
    internal async ValueTask CloseAsync(Aftermath aftermath)
    {
        foreach (BlockNode node in _released)
        {
            await aftermath.DoAsync(node.DisposeAsync).ConfigureAwait(false); // one owner less, never the last
        }

        if (_overlay is { } overlay)
        {
            _overlay = null;
            await aftermath.DoAsync(overlay.DisposeAsync).ConfigureAwait(false);
        }

        foreach (string created in _created)
        {
            await aftermath.DoAsync(() => BegunFile.RemoveAsync(Environment.Files, created)).ConfigureAwait(false);
            await aftermath.DoAsync(() => Environment.Files.FlushDirectoryAsync(created, CancellationToken.None)).ConfigureAwait(false);
        }

        _created = [];
    }

    private void ThrowIfUnfit()
    {
        if (Disk.Root.SkipFilters() != Image)
        {
            throw Refusal(BlockErrorKind.Conflict, $"'{Image.NodeName}' is no longer the newest image of its disk.");
        }

        if (Image.IsReadOnly)
        {
            throw Refusal(BlockErrorKind.ReadOnly, $"'{Image.NodeName}' is open read-only, and an overlay of it would take nothing.");
        }

        ChainClaim.ThrowIfChanged(Image, By);
    }

    private async ValueTask CreateAsync(CancellationToken cancellationToken)
    {
        if (Environment.Files.GetInfo(_path) is not null)
        {
            throw Refusal(BlockErrorKind.Conflict, $"'{_path}' exists; an overlay that is to be used as it is has to be announced as existing.");
        }

        NewImage image = NewOverlay.Describe(Image, _path, _options);
        ImageCreateOptions options = await new ImageCreator(_options.Formats, Environment).CreateAsync(_path, image, _options.Policy, cancellationToken).ConfigureAwait(false);
        _created = ImageCreator.FilesOf(_path, _options.Formats.Get(_options.Format), options, _options.Policy);
    }

    private void ThrowIfNoOverlay(BlockNode overlay)
    {
        BackingReference reference = overlay.BackingReference
            ?? throw Refusal(BlockErrorKind.Conflict, $"'{_path}' has no backing file, and is no overlay of '{Image.NodeName}'.");
        _ = BackingName.ReferenceTo(overlay, Image, reference.Name); // leads to the image's file
        if (!reference.DecidedByMagic && reference.Format != NewOverlay.FormatOf(Image))
        {
            throw Refusal(BlockErrorKind.Conflict, $"'{_path}' records the backing file {reference}, and '{Image.NodeName}' is {NewOverlay.FormatOf(Image)}.");
        }
    }

    // A filter that copies whole units of the image that it was made for cannot fill one with larger clusters.
    private void ThrowIfTooCoarse(BlockNode parent, BlockNode overlay)
    {
        if (parent is CopyOnReadNode copies && copies.CopyUnit < overlay.Limits.ClusterSize)
        {
            throw Refusal(
                BlockErrorKind.Conflict, $"The disk is filled as it is read, in units of {copies.CopyUnit} bytes, and '{_path}' has clusters of {overlay.Limits.ClusterSize}.");
        }
    }

    // What the overlay holds already is what the disk shows from the switch on.
    private async ValueTask ThrowIfDifferentAsync(BlockNode overlay)
    {
        using PooledBuffer own = Environment.Buffers.Rent(CompareLength);
        using PooledBuffer shown = Environment.Buffers.Rent(CompareLength);
        for (long at = 0; at < overlay.Length;)
        {
            BlockStatus status = await overlay.GetStatusAsync(Origin.Edge, at, overlay.Length - at, StatusDepth.Node, CancellationToken.None).ConfigureAwait(false);
            if (!status.IsAllocated)
            {
                at += status.Length;
                continue;
            }

            int length = (int)Math.Min(status.Length, CompareLength);
            await overlay.ReadAsync(Origin.Edge, at, own.Memory[..length], ReadFlags.None, CancellationToken.None).ConfigureAwait(false);
            await Image.ReadAsync(Origin.Edge, at, shown.Memory[..length], ReadFlags.None, CancellationToken.None).ConfigureAwait(false);
            int same = own.Span[..length].CommonPrefixLength(shown.Span[..length]);
            if (same < length)
            {
                throw Refusal(BlockErrorKind.Conflict, $"'{_path}' holds something else than the disk at offset {at + same}.");
            }

            at += length;
        }
    }

    private BlockLayerException Refusal(BlockErrorKind kind, string message) => new(kind, message) { NodeName = Image.NodeName, Path = _path };
}
