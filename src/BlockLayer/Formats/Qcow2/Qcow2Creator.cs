using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// Lays out and writes an empty image. The header goes last, after everything it refers to is durable, so a crash leaves an image or something that no program
/// takes for one.
/// </summary>
/// <remarks>
/// <code>
///   cluster 0   1 ...            ...               ...
///   | header | refcount table | refcount blocks | L1 table | LUKS header, if any |
/// </code>
/// </remarks>
internal sealed class Qcow2Creator
{
    private readonly Qcow2CreateOptions _options;
    private readonly Qcow2Header _header;
    private readonly ClusterGeometry _geometry;
    private readonly int _tableClusters;
    private readonly int _blockClusters;
    private readonly int _l1Clusters;
    private readonly byte[] _luksHeader;
    private readonly int _luksClusters;

    /// <summary>Decides the layout.</summary>
    /// <exception cref="ArgumentException">The disk is too large for the cluster size.</exception>
    /// <exception cref="Errors.ImageFormatException">InvalidFormat: the backing name does not fit.</exception>
    internal Qcow2Creator(Qcow2CreateOptions options, byte[]? luksHeader = null)
    {
        _options = options;
        _luksHeader = luksHeader ?? [];
        _geometry = new ClusterGeometry(Alignment.Log2(options.ClusterSize), Alignment.Log2(options.RefcountBits), options.ExtendedL2 ? L2EntryFormat.Extended : L2EntryFormat.Standard);
        long l1Entries = _geometry.L1EntriesFor(options.Length);
        if (l1Entries * L1Entry.Size > Qcow2Limits.MaxL1TableLength)
        {
            throw new ArgumentException(
                $"A disk of {options.Length} bytes is too large for clusters of {options.ClusterSize} bytes: at most {Qcow2Limits.MaxL1TableLength / L1Entry.Size * _geometry.L2TableReach}.");
        }

        _l1Clusters = (int)_geometry.ClustersFor(l1Entries * L1Entry.Size); // none for a disk of no bytes
        _luksClusters = (int)_geometry.ClustersFor(_luksHeader.Length);
        (_tableClusters, _blockClusters) = (1, 1);
        while (true)
        {
            long total = 1L + _tableClusters + _blockClusters + _l1Clusters + _luksClusters;
            int blocks = (int)Alignment.DivideRoundUp(total, _geometry.RefcountBlockEntries);
            int table = (int)_geometry.ClustersFor((long)blocks * RefcountTableEntry.Size);
            if (blocks <= _blockClusters && table <= _tableClusters)
            {
                break;
            }

            (_tableClusters, _blockClusters) = (Math.Max(table, _tableClusters), Math.Max(blocks, _blockClusters));
        }

        _header = MakeHeader((uint)l1Entries);
    }

    private HostCluster FirstBlock => new(1 + _tableClusters);

    private HostCluster FirstL1 => FirstBlock.Plus(_blockClusters);

    private HostCluster FirstLuks => FirstL1.Plus(_l1Clusters);

    /// <summary>Writes the image into an empty file; durable on return.</summary>
    internal async ValueTask WriteAsync(BlockNode file, CancellationToken cancellationToken)
    {
        int clusterSize = _geometry.ClusterSize;
        int total = 1 + _tableClusters + _blockClusters + _l1Clusters + _luksClusters;
        byte[] metadata = new byte[total * clusterSize];
        _luksHeader.CopyTo(metadata, (int)FirstLuks.Offset(_geometry).Value);
        ulong[] table = new ulong[_blockClusters];
        for (int block = 0; block < _blockClusters; block++)
        {
            HostOffset at = FirstBlock.Plus(block).Offset(_geometry);
            table[block] = RefcountTableEntry.ForBlock(at).Raw;
            int first = block * _geometry.RefcountBlockEntries;
            var counts = new RefcountBlock(metadata.AsSpan((int)at.Value, clusterSize), _geometry.RefcountOrder);
            for (int i = 0; i < Math.Min(_geometry.RefcountBlockEntries, total - first); i++)
            {
                counts[i] = 1;
            }
        }

        WordTable.ToBytes(table).CopyTo(metadata, clusterSize);
        await file.ResizeAsync(metadata.Length, ResizeOptions.GrowOnly, cancellationToken).ConfigureAwait(false);
        await file.WriteAsync(clusterSize, metadata.AsMemory(clusterSize), WriteFlags.None, cancellationToken).ConfigureAwait(false);
        await file.FlushAsync(cancellationToken).ConfigureAwait(false);
        _header.WriteTo(metadata);

        // What the first sector refers to in the rest of the cluster is there before it: as in a change of the backing file.
        int sector = Math.Min(Qcow2Limits.SectorLength, clusterSize);
        if (clusterSize > sector)
        {
            await file.WriteAsync(sector, metadata.AsMemory(sector, clusterSize - sector), WriteFlags.None, cancellationToken).ConfigureAwait(false);
            await file.FlushAsync(cancellationToken).ConfigureAwait(false);
        }

        await file.WriteAsync(0, metadata.AsMemory(0, sector), WriteFlags.None, cancellationToken).ConfigureAwait(false);
        await file.FlushAsync(cancellationToken).ConfigureAwait(false);
    }

    private Qcow2Header MakeHeader(uint l1Entries)
    {
        CompressionType compression = _options.Compression == "zstd" ? CompressionType.Zstd : CompressionType.Zlib;
        Qcow2Header header = new Qcow2Header
        {
            Version = _options.Version,
            ClusterBits = _geometry.ClusterBits,
            VirtualSize = _options.Length,
            L1Size = l1Entries,
            L1TableOffset = FirstL1.Offset(_geometry),
            RefcountTableOffset = new HostCluster(1).Offset(_geometry),
            RefcountTableClusters = (uint)_tableClusters,
            RefcountOrder = _geometry.RefcountOrder,
            Encryption = _options.LegacyAes ? EncryptionMethod.Aes : EncryptionMethod.None,
            Incompatible = (compression == CompressionType.Zlib ? IncompatibleFeatures.None : IncompatibleFeatures.CompressionType)
                | (_options.ExtendedL2 ? IncompatibleFeatures.ExtendedL2 : IncompatibleFeatures.None)
                | (_options.DataFile is null ? IncompatibleFeatures.None : IncompatibleFeatures.ExternalDataFile),
            Compatible = _options.LazyRefcounts ? CompatibleFeatures.LazyRefcounts : CompatibleFeatures.None,
            AdditionalFields = _options.Version >= 3 ? Qcow2Header.NewAdditionalFields(compression) : default,
        }.WithNewExtensions(_options.Backing?.Format);
        header = _luksHeader.Length > 0 ? header.WithNewLuksHeader(FirstLuks.Offset(_geometry), _luksHeader.Length) : header;
        header = _options.DataFile is { } dataFile ? header.WithNewDataFileName(dataFile) : header;
        return _options.Backing is { } backing ? header.WithNewBackingName(backing.Name) : header;
    }
}
