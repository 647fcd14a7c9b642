using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Storage;

namespace BlockLayer.Formats.CowOverlay;

/// <summary>
/// An open add-cow overlay: a bitmap says which clusters are in the image file, a raw disk of the same layout, and which are still in the backing file. Owns
/// the header area, the bitmap and the allocations in flight; the partial files hold one operation each.
/// </summary>
/// <remarks>
/// <list type="number">
/// <item>The disk is as long as the image file, which only a resize changes.</item>
/// <item>While guests are inside, bits only go from clear to set, so reads and overwrites of set clusters take no lock.</item>
/// <item>A bit is set after all bytes of its cluster are in the image file, and reaches the disk after they are durable (<see cref="WriteBack"/>).</item>
/// <item>One request at a time fills a cluster (<see cref="AllocationTable"/>).</item>
/// <item>A read-only open never writes; opening writes nothing.</item>
/// </list>
/// </remarks>
internal sealed partial class CowOverlayNode : BlockNode, ICheckableImage, IImageDetails, IVerifiesBacking, IFinishableImage
{
    private const ImagePermissions Reads = ImagePermissions.ConsistentRead;
    private const ImagePermissions Shares = Reads | ImagePermissions.WriteUnchanged;

    private readonly BlockEdge _file;

    // Set by LoadAsync, before the node is used.
    private BlockEdge _image = null!;
    private HeaderArea _header = null!;
    private BitmapFile _bitmapFile = null!;
    private int _clusterSize;
    private long _bitsPastEnd;       // set in the file when it was loaded
    private ChecksumState _checksum; // as found when it was loaded, valid once the overlay was left clean

    // Null in an overlay that was opened with everything in its image file.
    private AllocationBitmap? _bitmap;
    private AllocationTable? _allocations;

    private WriteBack? _writer;      // null in a read-only overlay; made and dropped under drain
    private bool _isAllAllocated;    // volatile; once set, nobody looks at the bitmap any more

    private CowOverlayNode(BlockNode file, FormatOpenContext context)
        : base(context.NodeName, file.Environment, context.Access)
        => _file = Attach(file, EdgeRole.Metadata, Needs, Shares);

    /// <inheritdoc/>
    public override string DriverName => CowOverlayFormat.Instance.Name;

    /// <inheritdoc/>
    public override string? Path => _file.Child.Path;

    /// <inheritdoc/>
    public override BackingReference? BackingReference
        => _header.BackingName is { } name && !IsAllAllocated
            ? new BackingReference(name, _header.Header.BackingFormat is { Length: > 0 } format ? format : null)
            : null;

    /// <summary>The header as it is on disk.</summary>
    internal CowOverlayHeader Header => _header.Header;

    /// <summary>Our record as it is on disk; null where there is none.</summary>
    internal OverlayRecord? Record => _header.Record;

    /// <summary>True when the image file is the whole disk.</summary>
    internal bool IsAllAllocated => Volatile.Read(ref _isAllAllocated);

    private ImagePermissions Needs => IsReadOnly ? Reads : Reads | ImagePermissions.Write | ImagePermissions.Resize;

    /// <summary>Opens the overlay in <paramref name="file"/>, and its image file through the context's door.</summary>
    /// <param name="file">On success the node's, on failure the caller's still.</param>
    /// <param name="context">How.</param>
    /// <param name="cancellationToken">Honoured while reading.</param>
    /// <exception cref="OpenDeniedException">The policy does not allow the image file.</exception>
    /// <exception cref="BlockLayerException">InvalidFormat, Corrupt, Unsupported, NotFound, Conflict, Io.</exception>
    internal static async ValueTask<CowOverlayNode> OpenAsync(BlockNode file, FormatOpenContext context, CancellationToken cancellationToken)
    {
        file.AddReference(); // the node's own; the caller's is let go below
        var node = new CowOverlayNode(file, context);
        try
        {
            await node.LoadAsync(context, cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            await node.DisposeAsync().ConfigureAwait(false);
            throw;
        }

        await file.DisposeAsync().ConfigureAwait(false);
        return node;
    }

    private protected override ValueTask FlushCoreAsync(CancellationToken cancellationToken)
        => _writer?.FlushAsync(cancellationToken) ?? ValueTask.CompletedTask;

    // No writer: read-only, or the open failed.
    private protected override ValueTask CloseCoreAsync() => _writer is null ? ValueTask.CompletedTask : CloseCleanlyAsync();

    private async ValueTask LoadAsync(FormatOpenContext context, CancellationToken cancellationToken)
    {
        _header = await HeaderArea.LoadAsync(_file, cancellationToken).ConfigureAwait(false);
        _clusterSize = Header.ClusterSize;
        _bitmapFile = new BitmapFile(_file, Header);
        ThrowIfNamesAreEqual();
        _image = await OpenImageFileAsync(context, cancellationToken).ConfigureAwait(false);
        SetLength(_image.Child.Length);
        _isAllAllocated = Header.IsAllAllocated;
        if (!_isAllAllocated)
        {
            ThrowIfImageWasCut();
            (_bitmap, _bitsPastEnd) = await _bitmapFile.LoadAsync(Length, cancellationToken).ConfigureAwait(false);
            _allocations = new AllocationTable(_bitmap);
            _checksum = JudgeBitmap();
        }

        if (!IsReadOnly)
        {
            MakeWriter();
        }

        SetLimits(new BlockLimits
        {
            ClusterSize = _clusterSize,
            SubclusterSize = _clusterSize,
            DiscardGranularity = _clusterSize,
            ZeroGranularity = 1,
            SupportsPopulate = true,
        });
    }

    private async ValueTask<BlockEdge> OpenImageFileAsync(FormatOpenContext context, CancellationToken cancellationToken)
    {
        if (context.OpenDataFile is not { } open)
        {
            throw Error(BlockErrorKind.Unsupported, $"'{NodeName}' keeps its data in '{_header.ImageName}', and no other file is to be opened.");
        }

        BlockNode image = await open(_header.ImageName, cancellationToken).ConfigureAwait(false);
        try
        {
            return Attach(image, EdgeRole.Data, Needs, Shares);
        }
        catch
        {
            await image.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    // The door compares files; names are compared here because a backing file need not be opened.
    private void ThrowIfNamesAreEqual()
    {
        if (_header.BackingName == _header.ImageName)
        {
            throw new ImageFormatException(
                BlockErrorKind.InvalidFormat,
                "image_filename",
                Header.ImageNameOffset,
                $"image_filename and backing_filename are both '{_header.ImageName}': the image file would hide the backing file and overwrite it.");
        }
    }
}
