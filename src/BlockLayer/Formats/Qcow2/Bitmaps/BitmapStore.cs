using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Requests;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// The bitmaps of an open image, and how they reach the disk. The flag in_use tells every reader whether what is stored is all there is:
/// </summary>
/// <remarks>
/// <code>
///   stored, in_use clear --MarkInUse, durable--> in_use set --writes go on--> ... --TryCommit--> new tables, new directory, in_use clear
///                                                   '-- crash: in_use stays, the bitmap is inconsistent for ever and can only be removed
/// </code>
/// <para>A commit never overwrites a table, bits or the directory. New ones are written and made durable, the counts of their clusters too; then one sector of the
/// header switches to the new directory; then the old clusters are released. So a crash leaves the old bitmaps or the new ones. Only the flags are written in
/// place: each is inside one sector, and setting one is always safe.</para>
/// <para>Bitmaps that are disabled do not change, so their flag stays clear and their tables stay where they are.</para>
/// <para>Everything here but <see cref="Bitmaps"/> happens under the allocation lock.</para>
/// </remarks>
internal sealed class BitmapStore
{
    private readonly BlockEdge _file;
    private readonly EdgeMetadataReader _reader;
    private ByteRange _directory;
    private bool _isDirectoryOwn; // set once this node has written it

    // The image's, set by Use.
    private ClusterGeometry _geometry = null!;
    private HeaderStore _header = null!;
    private RefcountTable _refcounts = null!;
    private MetadataOverlapGuard _guard = null!;
    private ClusterAllocator _allocator = null!;
    private WriteBack _writeBack = null!;

    /// <summary>Takes over the bitmaps of an image that is opened; <see cref="Use"/> comes before anything else.</summary>
    internal BitmapStore(BlockEdge file, LoadedImage image)
    {
        _file = file;
        _reader = new EdgeMetadataReader(file);
        _directory = image.Bitmaps.Range;
        Damage = image.Bitmaps.Damage;
        ClusterGeometry geometry = image.Header.CreateGeometry();
        HashSet<BitmapDirectoryEntry> overlapping = FindOverlaps(image.Bitmaps.Entries);
        Bitmaps =
        [
            .. image.Bitmaps.Entries.Select(entry => new StoredBitmap(
                entry,
                entry.FindObstacle(geometry, image.Header.VirtualSize, file.Child.Length)
                    ?? (overlapping.Contains(entry) ? $"its table at byte {entry.TableOffset.Value} overlaps that of another bitmap" : null))),
        ];
    }

    /// <summary>The bitmaps in the order of the directory.</summary>
    internal IReadOnlyList<StoredBitmap> Bitmaps { get; private set; }

    /// <summary>Why nothing is known about the bitmaps, though there are some; null when all is well.</summary>
    internal ImageFormatException? Damage { get; }

    /// <summary>True when a bitmap that writes should be marked in does not yet say so on disk.</summary>
    internal bool NeedsMark => Bitmaps.Any(static bitmap => bitmap.Entry.IsAuto && !bitmap.Entry.IsInUse);

    /// <summary>True when a bitmap has to be stored before the image is let go.</summary>
    internal bool IsMarked => Bitmaps.Any(static bitmap => bitmap.IsMarked);

    /// <summary>Works with these tables from now on: when the image is opened, and when its tables were exchanged for others.</summary>
    internal void Use(
        HeaderStore header, ClusterGeometry geometry, RefcountTable refcounts, MetadataOverlapGuard guard, ClusterAllocator allocator, WriteBack writeBack)
    {
        _header = header;
        _geometry = geometry;
        _refcounts = refcounts;
        _guard = guard;
        _allocator = allocator;
        _writeBack = writeBack;
    }

    /// <summary>
    /// Says on disk, durably, that enabled bitmaps are about to differ from what is stored. One that is enabled but cannot be used here is marked
    /// too: the writes that follow will not be in it.
    /// </summary>
    internal async ValueTask MarkInUseLockedAsync()
    {
        if (!NeedsMark)
        {
            return;
        }

        BitmapDirectoryEntry[] entries = [.. Bitmaps.Select(static bitmap => bitmap.Entry.IsAuto ? bitmap.Entry.WithInUse(true) : bitmap.Entry)];
        await _file.WriteAsync(_directory.Offset, BitmapDirectory.ToBytes(entries), CancellationToken.None).ConfigureAwait(false);
        await _file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        for (int i = 0; i < entries.Length; i++)
        {
            Bitmaps[i].Entry = entries[i];
        }
    }

    /// <summary>The bits of a bitmap that can be used: what is stored, and what was written since.</summary>
    /// <exception cref="ImageFormatException">Corrupt: its table is damaged.</exception>
    internal async ValueTask<DirtyBitmap> LoadAsync(StoredBitmap bitmap, CancellationToken cancellationToken)
    {
        DirtyBitmap bits = await BitmapContent.LoadAsync(_reader, _geometry, bitmap.Entry, _header.Current.VirtualSize, cancellationToken).ConfigureAwait(false);
        if (bitmap.Written is { } written)
        {
            bits.Merge(written);
        }

        return bits;
    }

    /// <summary>
    /// Replaces the directory, alone inside <see cref="WriteBack.RunAloneAsync"/> and with the node drained. Bits that were written are in the drafts.
    /// </summary>
    /// <param name="drafts">The bitmaps there are to be.</param>
    /// <param name="fields">Fields of the header that change with them.</param>
    /// <returns>False, and nothing has changed, when the refcount table has to grow first.</returns>
    /// <exception cref="BlockLayerException">NoSpace, Io; Unsupported: the header has no room. The old bitmaps are still there.</exception>
    internal async ValueTask<bool> TryCommitLockedAsync(IReadOnlyList<BitmapDraft> drafts, Func<Qcow2Header, Qcow2Header> fields)
    {
        var writer = new BitmapWriter(_file, _geometry, _allocator, _guard);
        var entries = new List<BitmapDirectoryEntry>();
        HeaderChangePlan plan;
        IReadOnlyList<HostCluster> released;
        BitmapsExtension? target = null;
        try
        {
            released = await FindReleasedAsync(drafts).ConfigureAwait(false);
            foreach (BitmapDraft draft in drafts)
            {
                if (await writer.WriteBitmapAsync(draft).ConfigureAwait(false) is not { } entry)
                {
                    writer.GiveBack();
                    return false;
                }

                entries.Add(entry);
            }

            if (entries.Count > 0)
            {
                target = await writer.WriteDirectoryAsync(entries).ConfigureAwait(false);
                if (target is null)
                {
                    writer.GiveBack();
                    return false;
                }
            }

            plan = BitmapsChangePlan.TryCreate(_header.FirstCluster, target, fields)
                ?? throw new BlockLayerException(BlockErrorKind.Unsupported, "The first cluster has no room for the bitmaps extension beside the backing file name and the other header extensions.");
            await _writeBack.FlushLockedAsync().ConfigureAwait(false); // what was written, and the counts of its clusters
        }
        catch
        {
            writer.GiveBack();
            throw;
        }

        // If the switch itself fails, the disk may refer to either directory until the next flush has settled it: then both stay taken.
        await _header.CarryOutAsync(plan).ConfigureAwait(false);
        Release(released);
        _isDirectoryOwn = true;
        _directory = new ByteRange(target?.DirectoryOffset.Value ?? 0, target?.DirectoryLength ?? 0);
        Bitmaps = [.. drafts.Zip(entries, Committed)];
        return true;
    }

    /// <summary>Bitmaps whose tables share bytes. Without them, a file leads to no more tables than fit in it, and each costs memory.</summary>
    private static HashSet<BitmapDirectoryEntry> FindOverlaps(IReadOnlyList<BitmapDirectoryEntry> entries)
    {
        HashSet<BitmapDirectoryEntry> found = new(ReferenceEqualityComparer.Instance);
        BitmapDirectoryEntry? reaching = null; // of those in front, the one whose table ends last
        foreach (BitmapDirectoryEntry entry in entries.OrderBy(static entry => entry.TableOffset.Value))
        {
            if (reaching is not null && reaching.TableRange.Overlaps(entry.TableRange))
            {
                found.Add(reaching);
                found.Add(entry);
            }

            reaching = reaching is null || (ulong)entry.TableRange.End > (ulong)reaching.TableRange.End ? entry : reaching;
        }

        return found;
    }

    private static StoredBitmap Committed(BitmapDraft draft, BitmapDirectoryEntry entry)
    {
        if (draft.Source is not { } bitmap)
        {
            return new StoredBitmap(entry, obstacle: null) { IsWrittenHere = true };
        }

        bitmap.Entry = entry;
        if (draft.Content is not null)
        {
            bitmap.IsWrittenHere = true;
            bitmap.Written?.Clear();
        }

        return bitmap;
    }

    /// <summary>The clusters that nothing refers to once the drafts are stored.</summary>
    private ValueTask<IReadOnlyList<HostCluster>> FindReleasedAsync(IReadOnlyList<BitmapDraft> drafts)
    {
        HashSet<StoredBitmap> kept = [.. drafts.Where(static draft => draft.Content is null).Select(static draft => draft.Source!)];
        StoredBitmap[] dropped = [.. Bitmaps.Where(bitmap => !kept.Contains(bitmap))];
        bool isOwn = (_isDirectoryOwn || _directory.Length == 0) && dropped.All(static bitmap => bitmap.IsWrittenHere);
        return new BitmapRelease(_reader, _geometry, _header.Current, _refcounts, _guard).FindAsync(_directory, dropped, Bitmaps.Where(kept.Contains), isOwn);
    }

    private void Release(IReadOnlyList<HostCluster> clusters)
    {
        if (_directory.Length > 0)
        {
            _guard.RemoveTable(new HostOffset(_directory.Offset));
        }

        foreach (HostCluster cluster in clusters)
        {
            _allocator.Release(cluster, ReleasedRoom.Keep);
        }
    }
}
