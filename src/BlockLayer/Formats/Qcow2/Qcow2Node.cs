using System.Diagnostics.CodeAnalysis;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Storage;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// An open qcow2 image: guest clusters mapped to clusters of a file, over an optional backing node.
/// </summary>
/// <remarks>
/// <para>It owns the parts and their order of use; each part keeps its own rules:</para>
/// <list type="bullet">
/// <item><see cref="TableCache"/> finds a mapping without a lock. Reads, and overwrites of clusters that are allocated here alone, need nothing else.</item>
/// <item><see cref="ClusterAllocator"/> and <see cref="RefcountTable"/> decide which clusters are taken, under the allocation lock.</item>
/// <item><see cref="InFlightTable"/> keeps two writers from allocating for one guest cluster, while the lock is not held and data moves.</item>
/// <item><see cref="WriteBack"/> brings tables to disk in an order that survives a crash.</item>
/// </list>
/// <para>Invariants: (1) a mapping is published only after its data was written; (2) the allocation lock is never held across guest data I/O; (3) opening
/// changes nothing on disk, the first change does: see <see cref="PrepareToWriteAsync"/>; (4) with evidence that metadata could be hit,
/// nothing is written any more, and the corrupt bit is set once.</para>
/// <para>Lazy refcounts: an image that allows them is written with strict refcounts all the same, so the dirty bit is never set here. One that was left with
/// the dirty bit set is read as it is; before the first change its refcounts are rebuilt.</para>
/// </remarks>
internal sealed partial class Qcow2Node : BlockNode, IRepairableImage
{
    private readonly BlockEdge _file;
    private readonly GuestData _data;
    private readonly Qcow2OpenOptions _options;
    private readonly bool _allowsRepair;
    private readonly EncryptionDetails? _encryption;
    private readonly bool _showsSnapshot;
    private readonly AsyncLock _allocationLock = new();
    private readonly InFlightTable _inFlight = new(); // guarded by _allocationLock

    // Made anew by Adopt, drained, when the image gets other tables or becomes writable.
    private ClusterGeometry _geometry;
    private HeaderStore _header;
    private TableCache _tables;
    private RefcountTable _refcounts;
    private MetadataOverlapGuard _guard;
    private ClusterAllocator _allocator;
    private StreamPacker _packer; // guarded by _allocationLock
    private WriteBack _writeBack;
    private BitmapStore _bitmaps;

    private volatile bool _isMapped;   // set once the guard knows the metadata, so that tables may be changed
    private volatile bool _isPrepared; // set once a guest may write, cleared when it must not, or when bitmaps have to be marked again

    /// <summary>Wires an image whose tables were loaded by <see cref="Qcow2Format"/>. On success the node owns the file.</summary>
    /// <param name="file">The image file.</param>
    /// <param name="dataFile">The external data file, which the node then owns too; null where there is none or it is not to be opened.</param>
    /// <param name="cipher">Opens encrypted data, and is the node's then; null where data is not encrypted, or not to be opened.</param>
    /// <param name="context">What the opener says.</param>
    /// <param name="image">What was read of the file.</param>
    /// <param name="options">How to run the image.</param>
    internal Qcow2Node(BlockNode file, BlockNode? dataFile, SectorCipher? cipher, FormatOpenContext context, LoadedImage image, Qcow2OpenOptions options)
        : base(context.NodeName, file.Environment, context.AccessFromAbove)
    {
        (ImagePermissions needs, ImagePermissions shares) = PermissionsFor(context.Access);
        _file = Attach(file, EdgeRole.Metadata, needs, shares);
        _data = GuestData.Of(_file, dataFile is null ? null : AttachData(dataFile), image.Header, cipher);
        _options = options with { TableCacheLength = context.TableCacheLength ?? options.TableCacheLength };
        _allowsRepair = context.AllowsRepair;
        _encryption = image.Encryption;
        _showsSnapshot = context.Snapshot is not null;
        Adopt(image);
        TakeUpBitmaps(image);
        SetLimits(new BlockLimits
        {
            ClusterSize = _geometry.ClusterSize,
            SubclusterSize = _geometry.SubclusterSize,
            DiscardGranularity = _geometry.SubclusterSize,
            ZeroGranularity = _geometry.SubclusterSize,
            MaxTransfer = Math.Max(_geometry.ClusterSize, Qcow2Limits.MaxTransferLength),
            SupportsPopulate = true,
            SupportsCompressedWrites = !_geometry.HasDataFile && !_data.IsEncrypted, // a stream would be stored as it is
            RequestAlignment = _data.IsEncrypted ? SectorCipher.SectorSize : 1,
        });
    }

    /// <inheritdoc/>
    public override string DriverName => "qcow2";

    /// <inheritdoc/>
    public override string? Path => _file.Child.Path;

    internal override string? NotInName => _showsSnapshot ? "one of its internal snapshots" : null;

    /// <summary>The header as it is on disk.</summary>
    internal Qcow2Header Header => _header.Current;

    /// <summary>The file with the tables and the data.</summary>
    internal BlockNode File => _file.Child;

    /// <summary>Unallocated clusters of this image belong to a backing file, whether or not it was opened.</summary>
    private bool HasBacking => BackingEdge is not null || Header.HasBackingFile || ExpectsBacking;

    /// <summary>
    /// Takes up an image as it is on disk: when the node is opened or becomes writable, and when its tables were exchanged for others as a whole. Nobody is inside,
    /// and nothing of the old tables is waiting to be written.
    /// </summary>
    [MemberNotNull(nameof(_geometry), nameof(_header), nameof(_tables), nameof(_refcounts), nameof(_guard), nameof(_allocator), nameof(_packer), nameof(_writeBack))]
    private void Adopt(LoadedImage image)
    {
        Qcow2Header header = image.Header;
        _isMapped = false;
        _isPrepared = false;
        Volatile.Write(ref _lastDecompressed, null);
        _geometry = header.CreateGeometry();
        _header = new HeaderStore(_file, header, image.FirstCluster);
        _guard = new MetadataOverlapGuard(_file, _geometry);
        _tables = new TableCache(_file, _geometry, header.Version, image.L1, _options.TableCacheLength);
        _refcounts = new RefcountTable(_file, _geometry, image.RefcountTable, _guard);
        _allocator = new ClusterAllocator(_file, _geometry, _refcounts, _guard, Gate, _options.ReusePolicy);
        _packer = new StreamPacker(_geometry, _allocator, _refcounts);
        _writeBack = new WriteBack(_file, _data, _header, _allocationLock, _tables, _refcounts, _allocator);
        _bitmaps?.Use(_header, _geometry, _refcounts, _guard, _allocator, _writeBack); // none yet while the node is made
        SetLength(image.Length);
    }

    private protected override ValueTask FlushCoreAsync(CancellationToken cancellationToken)
        => IsReadOnly ? ValueTask.CompletedTask
            : _isMapped && _guard.Evidence is null ? FlushTablesAsync(cancellationToken)
            : _guard.Evidence is { } evidence ? ValueTask.FromException(Refusal(evidence)) // tables in memory will not be written
            : FlushFilesAsync(cancellationToken);

    private protected override async ValueTask CloseCoreAsync()
    {
        try
        {
            await SettleToReadAsync().ConfigureAwait(false);
        }
        finally
        {
            _data.Dispose(); // forgets the keys
        }
    }

    private async ValueTask FlushTablesAsync(CancellationToken cancellationToken)
    {
        try
        {
            await _writeBack.FlushAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (ImageFormatException) when (_guard.Evidence is not null)
        {
            using AsyncLock.Releaser held = await _allocationLock.EnterAsync(CancellationToken.None).ConfigureAwait(false);
            await MarkCorruptLockedAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Brings everything to disk, released clusters included. Nobody is inside meanwhile: the node is drained or closing.</summary>
    private async ValueTask SettleAsync()
    {
        if (IsReadOnly || !_isMapped || _guard.Evidence is not null)
        {
            return;
        }

        // A flush makes drops durable, the next one writes the counts that go down. Nobody is inside any more, so epochs pass freely.
        do
        {
            await _writeBack.FlushAsync(CancellationToken.None).ConfigureAwait(false);
            using AsyncLock.Releaser held = await _allocationLock.EnterAsync().ConfigureAwait(false);
            for (int epochs = 0; epochs < 3; epochs++)
            {
                await _allocator.RetireAsync().ConfigureAwait(false);
            }
        }
        while (_refcounts.DirtyCount > 0 || !_allocator.IsSettled);
    }

    /// <summary>
    /// Makes sure a guest may change the image. Before the first change it learns where the metadata is, clears the autoclear bits that are not maintained here,
    /// and marks the enabled bitmaps as in use, so that whoever finds the image after a crash knows what they are worth; durable before the change goes on.
    /// </summary>
    /// <exception cref="BlockLayerException">Corrupt: the image must not be written.</exception>
    private ValueTask PrepareToWriteAsync() => _isPrepared ? ValueTask.CompletedTask : PrepareSlowAsync();

    private async ValueTask PrepareSlowAsync()
    {
        using AsyncLock.Releaser held = await _allocationLock.EnterAsync().ConfigureAwait(false);
        if (_guard.Evidence is { } evidence)
        {
            throw Refusal(evidence);
        }

        if (!_isPrepared)
        {
            await MapMetadataLockedAsync().ConfigureAwait(false);
            await _bitmaps.MarkInUseLockedAsync().ConfigureAwait(false);
            _isPrepared = true;
        }
    }

    /// <summary>Makes sure tables may be changed: all of <see cref="PrepareToWriteAsync"/> but the bitmaps. The caller holds the allocation lock.</summary>
    private async ValueTask MapMetadataLockedAsync()
    {
        if (_isMapped)
        {
            return;
        }

        await _header.SettleAsync().ConfigureAwait(false); // after an exchange of tables whose outcome is not known
        if (_bitmaps.Damage is { } unlocatable)
        {
            throw Refusal(unlocatable);
        }

        SnapshotTable snapshots = await LoadSnapshotsToWriteAsync().ConfigureAwait(false);
        if (Header.HasFeature(IncompatibleFeatures.Dirty))
        {
            await RebuildRefcountsLockedAsync().ConfigureAwait(false);
        }

        try
        {
            await MetadataMap.FillAsync(_guard, _file, _geometry, Header, _tables.L1, _refcounts.Table, snapshots).ConfigureAwait(false);
        }
        catch (ImageFormatException damage) when (damage.Kind == BlockErrorKind.Corrupt)
        {
            _guard.Broken(new HostOffset(damage.Offset ?? 0), damage.Message.TrimEnd('.'));
            await MarkCorruptLockedAsync().ConfigureAwait(false);
            throw;
        }

        await _data.EnsureLengthAsync(Length).ConfigureAwait(false);
        AutoclearFeatures maintained = (_bitmaps.Bitmaps.Count > 0 ? AutoclearFeatures.Bitmaps : AutoclearFeatures.None)
            | (IsRawData ? AutoclearFeatures.RawExternalData : AutoclearFeatures.None);
        if ((Header.Autoclear & ~maintained) != 0)
        {
            await _header.UpdateAsync(header => header with { Autoclear = header.Autoclear & maintained }).ConfigureAwait(false);
        }

        _isMapped = true;
    }

    /// <summary>
    /// Replaces the refcounts of an image that was left with postponed ones: new blocks and a new table behind everything, durable, and then one write of the header
    /// that refers to them and clears the dirty bit. A crash before that leaves the image as it was.
    /// </summary>
    private async ValueTask RebuildRefcountsLockedAsync()
    {
        ReferenceCounter references = await Qcow2Checker.CountReferencesAsync(new EdgeMetadataReader(_file), Header, CancellationToken.None).ConfigureAwait(false);
        try
        {
            WordTable table = await RefcountRebuilder.WriteAsync(_file, _geometry, references).ConfigureAwait(false);
            await _file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
            await _header.UpdateAsync(header => header with
            {
                RefcountTableOffset = table.Start,
                RefcountTableClusters = (uint)_geometry.ClustersFor((long)table.Count * RefcountTableEntry.Size),
                Incompatible = header.Incompatible & ~IncompatibleFeatures.Dirty,
            }).ConfigureAwait(false);
            _refcounts.ReplaceTable(table);
        }
        finally
        {
            _allocator.NoteFileLength(_file.Child.Length);
        }
    }

    /// <summary>Stops writing and says so on disk, once. The caller holds the allocation lock.</summary>
    private async ValueTask MarkCorruptLockedAsync()
    {
        _isPrepared = false;
        if (Header.Version >= 3 && !Header.HasFeature(IncompatibleFeatures.Corrupt))
        {
            await _header.UpdateAsync(static header => header with { Incompatible = header.Incompatible | IncompatibleFeatures.Corrupt }).ConfigureAwait(false);
        }
    }

    private BlockLayerException Refusal(ImageFormatException evidence) => Error(BlockErrorKind.Corrupt, evidence.Message, evidence.Offset, evidence);

    private BlockLayerException FaultAt(L2Slice slice, GuestCluster cluster)
    {
        ImageFormatException cause = slice.FaultOf(cluster).ToException(
            "L2 table entry", slice[cluster].Raw, _tables.PositionOf(slice.First).Plus((cluster.Index - slice.First.Index) * _geometry.L2EntrySize));
        return Error(BlockErrorKind.Corrupt, cause.Message, cause.Offset, cause);
    }
}
