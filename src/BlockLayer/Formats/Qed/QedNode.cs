using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Storage;

namespace BlockLayer.Formats.Qed;

/// <summary>
/// An open QED image. Owns the header, the tables, the allocations in flight and the NEED_CHECK bit; the partial files hold one operation each.
/// </summary>
/// <remarks>
/// <list type="number">
/// <item>Where a data cluster is stored never changes while the image is open, so reads and overwrites of allocated clusters take no lock.</item>
/// <item>A cluster is published only after all its bytes are written, and reaches the disk only after they are durable (<see cref="TableWriter"/>).</item>
/// <item>Allocations happen only while NEED_CHECK is on disk (<see cref="NeedCheck"/>) and one at a time for each guest cluster
/// (<see cref="ClusterAllocations"/>).</item>
/// <item>A read-only open never writes, whatever state the image is in.</item>
/// </list>
/// </remarks>
internal sealed partial class QedNode : BlockNode, IRepairableImage, IImageDetails
{
    private const ImagePermissions Shares = ImagePermissions.ConsistentRead | ImagePermissions.WriteUnchanged;

    private readonly BlockEdge _file;
    private readonly int _cacheLength; // bytes of L2 tables in memory
    private readonly bool _allowsRepair;

    // Set by LoadAsync, before the node is used, and again by a repair, under drain.
    private HeaderSector _header = null!;
    private MappingTables _tables = null!;
    private QedGeometry _geometry = null!;
    private BackingReference? _backingReference; // replaced only by RecordBackingAsync

    // Null in an image that nobody may write: a read-only one, and one that is open for a repair. Made and dropped under drain.
    private TableWriter? _writer;
    private ClusterAllocations? _allocations;
    private NeedCheck? _needCheck;

    private QedNode(BlockNode file, FormatOpenContext context, int cacheLength)
        : base(context.NodeName, file.Environment, context.AccessFromAbove)
    {
        _file = Attach(file, EdgeRole.Metadata, NeedsFor(context.Access), Shares);
        _cacheLength = cacheLength;
        _allowsRepair = context.AllowsRepair;
    }

    /// <inheritdoc/>
    public override string DriverName => "qed";

    /// <inheritdoc/>
    public override string? Path => _file.Child.Path;

    /// <inheritdoc/>
    public override BackingReference? BackingReference => Volatile.Read(ref _backingReference);

    /// <summary>The header as it is on disk.</summary>
    internal QedHeader Header => _header.Current;

    /// <summary>Held while the mapping changes; for tests.</summary>
    internal Lock MappingLock => _tables.Lock;

    /// <summary>L2 slices in memory; for tests.</summary>
    internal int CachedSlices => _tables.Slices.Count;

    /// <summary>
    /// Opens the image in <paramref name="file"/>. An image that needs a check gets one when it is opened to be written: what a crash can leave behind is
    /// repaired, worse is refused.
    /// </summary>
    /// <param name="file">On success the node's, on failure the caller's still.</param>
    /// <param name="context">How.</param>
    /// <param name="cacheLength">Bytes of L2 tables to keep in memory.</param>
    /// <param name="cancellationToken">Honoured while reading.</param>
    /// <exception cref="BlockLayerException">InvalidFormat, Corrupt, Unsupported, Io.</exception>
    internal static async ValueTask<QedNode> OpenAsync(BlockNode file, FormatOpenContext context, int cacheLength, CancellationToken cancellationToken)
    {
        file.AddReference(); // the node's own; the caller's is let go below
        var node = new QedNode(file, context, cacheLength);
        try
        {
            await node.LoadAsync(cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            await node.DisposeAsync().ConfigureAwait(false);
            throw;
        }

        await file.DisposeAsync().ConfigureAwait(false);
        return node;
    }

    /// <inheritdoc/>
    public ImageDetails GetDetails() => new() { IsDirty = Header.NeedsCheck };

    private protected override ValueTask FlushCoreAsync(CancellationToken cancellationToken)
        => _writer?.FlushAsync(cancellationToken) ?? ValueTask.CompletedTask;

    private protected override async ValueTask CloseCoreAsync()
    {
        if (_needCheck is null)
        {
            return; // read-only, or the open failed
        }

        try
        {
            await _needCheck.CloseAsync().ConfigureAwait(false);
        }
        finally
        {
            await _needCheck.DisposeAsync().ConfigureAwait(false);
        }
    }

    private static ImagePermissions NeedsFor(NodeAccess access)
        => access == NodeAccess.ReadOnly
            ? ImagePermissions.ConsistentRead
            : ImagePermissions.ConsistentRead | ImagePermissions.Write | ImagePermissions.Resize;

    private async ValueTask LoadAsync(CancellationToken cancellationToken)
    {
        _header = await HeaderSector.LoadAsync(_file, cancellationToken).ConfigureAwait(false);
        _geometry = Header.Geometry;
        _backingReference = await ReadBackingReferenceAsync(cancellationToken).ConfigureAwait(false);
        if (!IsReadOnly && Header.NeedsCheck)
        {
            await RepairAfterCrashAsync(cancellationToken).ConfigureAwait(false);
        }

        await LoadTablesAsync(cancellationToken).ConfigureAwait(false);
        SetLength((long)Header.ImageSize);
        SetLimits(new BlockLimits
        {
            ClusterSize = _geometry.ClusterSize,
            SubclusterSize = _geometry.ClusterSize,
            DiscardGranularity = _geometry.ClusterSize,
            ZeroGranularity = _geometry.ClusterSize,
            SupportsPopulate = true,
        });
    }

    private async ValueTask LoadTablesAsync(CancellationToken cancellationToken)
    {
        _tables = await MappingTables.LoadAsync(_file, Header, _cacheLength, cancellationToken).ConfigureAwait(false);
        if (IsReadOnly)
        {
            return;
        }

        _writer = new TableWriter(_header, _file, _tables);
        _allocations = new ClusterAllocations(_file, _tables);
        _needCheck = new NeedCheck(_header, _writer, Environment.Time, () => _ = ClearNeedCheckAsync());
        _needCheck.StartIdleTime();
    }

    // The timer's call enters like a request from outside: a drain holds it back, and closing waits for it.
    private async Task ClearNeedCheckAsync()
    {
        int slot;
        try
        {
            slot = await EnterAsync(Origin.Door, CancellationToken.None).ConfigureAwait(false);
        }
        catch (ObjectDisposedException)
        {
            return; // closing clears the bit itself
        }

        try
        {
            await (_needCheck?.ClearIfIdleAsync() ?? ValueTask.CompletedTask).ConfigureAwait(false); // none: became read-only meanwhile, with the bit clear
        }
        catch (BlockLayerException)
        {
            // Nobody waits for this and nothing is lost: the bit stays set, what is dirty stays dirty, and the next flush meets the same failure and tells
            // its caller.
        }
        finally
        {
            Gate.Exit(slot);
        }
    }
}
