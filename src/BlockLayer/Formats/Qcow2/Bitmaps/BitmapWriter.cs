using System.Buffers.Binary;
using BlockLayer.Graph;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// Writes bitmaps and their directory to clusters of their own, for one commit: nothing refers to them before the header does, so <see cref="GiveBack"/> undoes it all.
/// Everything happens under the allocation lock; nothing is durable yet.
/// </summary>
internal sealed class BitmapWriter(BlockEdge file, ClusterGeometry geometry, ClusterAllocator allocator, MetadataOverlapGuard guard)
{
    private readonly List<HostRun> _taken = [];
    private HostOffset? _directory;

    /// <summary>Writes the bits of a draft, if it has any, and their table.</summary>
    /// <returns>The entry that leads to them; null when the refcount table has to grow first.</returns>
    internal async ValueTask<BitmapDirectoryEntry?> WriteBitmapAsync(BitmapDraft draft)
    {
        if (draft.Content is not { } content)
        {
            return draft.Entry;
        }

        long clusters = geometry.ClustersFor((content.BitCount + 7) / 8);
        byte[] table = new byte[clusters * BitmapTableEntry.Size];
        byte[] cluster = new byte[geometry.ClusterSize];
        for (int i = 0; i < clusters; i++)
        {
            content.ExportBits(i * 8L * geometry.ClusterSize, cluster);
            if (await WriteBitsAsync(cluster).ConfigureAwait(false) is not { } entry)
            {
                return null;
            }

            BinaryPrimitives.WriteUInt64BigEndian(table.AsSpan(i * BitmapTableEntry.Size), entry.Raw);
        }

        return await WriteTableAsync(table).ConfigureAwait(false) is { } at
            ? draft.Entry with { TableOffset = at, TableEntries = (uint)clusters }
            : null;
    }

    /// <summary>Writes a directory of at least one bitmap.</summary>
    /// <returns>What the header says of it; null when the refcount table has to grow first.</returns>
    internal async ValueTask<BitmapsExtension?> WriteDirectoryAsync(IReadOnlyCollection<BitmapDirectoryEntry> entries)
    {
        byte[] directory = BitmapDirectory.ToBytes(entries);
        return await WriteTableAsync(directory, TakeForDirectory).ConfigureAwait(false) is { } at
            ? new BitmapsExtension((uint)entries.Count, Reserved: 0, directory.Length, at)
            : null;

        void TakeForDirectory(HostOffset start)
        {
            guard.Add(start, directory.Length, MetadataKind.BitmapDirectory);
            _directory = start;
        }
    }

    /// <summary>Gives back what was taken: the header does not refer to it, and will not.</summary>
    internal void GiveBack()
    {
        if (_directory is { } directory)
        {
            guard.RemoveTable(directory);
        }

        foreach (HostRun run in _taken)
        {
            allocator.Return(run);
        }
    }

    private async ValueTask<BitmapTableEntry?> WriteBitsAsync(byte[] cluster)
    {
        if (cluster.AsSpan().IndexOfAnyExcept((byte)0) < 0)
        {
            return BitmapTableEntry.Zeroes;
        }

        if (cluster.AsSpan().IndexOfAnyExcept((byte)0xff) < 0)
        {
            return BitmapTableEntry.Ones;
        }

        return await WriteTableAsync(cluster).ConfigureAwait(false) is { } at ? BitmapTableEntry.ForCluster(at) : null;
    }

    /// <summary>Writes contiguous clusters, zeroes behind what there is to write.</summary>
    private async ValueTask<HostOffset?> WriteTableAsync(byte[] content, Action<HostOffset>? beforeWrite = null)
    {
        long clusters = geometry.ClustersFor(content.Length);
        HostRun? place = clusters == 1
            ? await allocator.AllocateAsync(1).ConfigureAwait(false)
            : await allocator.AllocateContiguousAsync((int)clusters).ConfigureAwait(false);
        if (place is not { } run)
        {
            return null;
        }

        _taken.Add(run);
        HostOffset at = run.First.Offset(geometry);
        beforeWrite?.Invoke(at);
        byte[] whole = content;
        if (content.Length < clusters * geometry.ClusterSize)
        {
            whole = new byte[clusters * geometry.ClusterSize];
            content.CopyTo(whole, 0);
        }

        await file.WriteAsync(at.Value, whole, CancellationToken.None).ConfigureAwait(false);
        return at;
    }
}
