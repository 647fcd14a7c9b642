namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// What becomes of a table entry by itself, whatever else refers to the same cluster. Entries that lead somewhere keep leading there; one that leads nowhere
/// can be read by nobody, and is replaced by what costs no readable byte.
/// </summary>
/// <remarks>
/// <list type="bullet">
/// <item>An L1 entry that cannot be followed becomes "no table": what the backing file has there is the best that is left of that part of the disk.</item>
/// <item>An L2 entry that cannot be followed becomes zeroes, as QEMU reads one behind the end of the file: the guest did write there, so what the backing file has
/// is older. Version 2 has no entry for zeroes and gets "not allocated".</item>
/// <item>A zero flag that version 2 does not have is cleared: what is in the cluster can be read again.</item>
/// <item>Of two bits of a subcluster that exclude each other, the one that keeps data stays.</item>
/// </list>
/// </remarks>
internal sealed class EntryRepair(ClusterGeometry g, Qcow2Header header, long fileLength)
{
    private readonly bool _extended = g.L2EntryFormat == L2EntryFormat.Extended;
    private readonly bool _hasDataFile = header.HasFeature(IncompatibleFeatures.ExternalDataFile);

    /// <summary>The entry as it should be; its copied flag is decided by refcounts, later.</summary>
    public L1Entry Decide(L1Entry entry)
        => entry.Validate(g, fileLength).IsFatal() || !entry.IsAllocated ? L1Entry.Unallocated : entry.WithoutReservedBits();

    /// <summary>The entry as it should be; its copied flag is decided by refcounts, later. The second word of a standard entry is 0 and stays so.</summary>
    public ExtendedL2Entry Decide(ExtendedL2Entry entry)
    {
        L2Entry cluster = entry.Cluster.WithoutReservedBits();
        if (cluster.IsCompressed)
        {
            return _hasDataFile ? Nothing(entry) : DecideCompressed(cluster, entry);
        }

        if (header.Version < 3)
        {
            cluster = cluster.WithoutZero();
        }

        if (_hasDataFile)
        {
            return cluster.HostOffset.IsAligned(g) ? DecideSubclusters(cluster, entry) : Nothing(entry);
        }

        if (!cluster.HostOffset.IsAligned(g) || cluster.HostOffset.Value >= fileLength)
        {
            return Nothing(entry);
        }

        return DecideSubclusters(cluster, entry);
    }

    private ExtendedL2Entry DecideSubclusters(L2Entry cluster, ExtendedL2Entry entry)
    {
        if (!_extended)
        {
            return new ExtendedL2Entry(cluster, entry.Subclusters);
        }

        bool hasCluster = cluster.HostOffset.Value != 0 || (_hasDataFile && cluster.IsCopied);
        return hasCluster
            ? new ExtendedL2Entry(cluster, ExtendedL2Entry.Pack(entry.Allocated, entry.Zero & ~entry.Allocated))
            : new ExtendedL2Entry(cluster, ExtendedL2Entry.Pack(0, entry.Zero | entry.Allocated));
    }

    private ExtendedL2Entry DecideCompressed(L2Entry cluster, ExtendedL2Entry entry)
    {
        CompressedDescriptor stream = cluster.Compressed(g);
        if (stream.Validate(g, fileLength).IsFatal())
        {
            return Nothing(entry);
        }

        if (stream.End.Value - fileLength >= g.ClusterSize)
        {
            // The number of sectors is wrong, the stream may be sound: it cannot be longer than the file.
            stream = CompressedDescriptor.ForStream(stream.Offset, (int)(fileLength - stream.Offset.Value), g);
        }

        return new ExtendedL2Entry(L2Entry.ForCompressed(stream, g), 0);
    }

    private ExtendedL2Entry Nothing(ExtendedL2Entry entry)
    {
        if (_extended)
        {
            // A compressed entry has no bits for its subclusters: all of it was there.
            uint zero = entry.Cluster.IsCompressed ? uint.MaxValue : entry.Zero | entry.Allocated;
            return new ExtendedL2Entry(L2Entry.Unallocated, ExtendedL2Entry.Pack(0, zero));
        }

        return new ExtendedL2Entry(header.Version >= 3 ? L2Entry.ZeroPlain : L2Entry.Unallocated, 0);
    }
}
