using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Storage;

namespace BlockLayer.Libvirt;

/// <summary>Decides what the deletion of a snapshot does to each disk and to the images beside its chain, before anything is touched.</summary>
/// <remarks>
/// <code>
///                    an overlay beside the chain that stands on ...
///                    the older file                                      the newer file
///   backward merge   refused: the older file will show something else    moved to the older file, which shows the same then, before the newer is removed
///   forward merge    left alone: the older file is not removed           left alone: the newer file shows what it did
/// </code>
/// Nothing is copied into such an overlay: whoever does not want the older file kept for it rebases it first.
/// </remarks>
internal sealed class DeletionPlan
{
    private readonly Domain _domain;
    private readonly SnapshotTree _tree;
    private readonly SnapshotRecord _record;

    private DeletionPlan(Domain domain, SnapshotTree tree, SnapshotRecord record)
    {
        _domain = domain;
        _tree = tree;
        _record = record;
    }

    private DiskOptions Options => _domain.Host.Options.Disks;

    private StorageProvider Files => Options.Environment.Files;

    /// <summary>Plans a deletion that merges files.</summary>
    /// <exception cref="LibvirtException">OperationUnsupported: it would destroy something; OperationFailed: the chain is not what the snapshot remembers.</exception>
    /// <exception cref="BlockLayerException">A file beside the chain cannot be changed as it has to be, or folders cannot be searched.</exception>
    internal static async ValueTask<(SnapshotDeletion Deletion, IReadOnlyList<DiskMerge> Merges)> MakeAsync(
        Domain domain, IReadOnlyList<DomainDisk> disks, SnapshotTree tree, SnapshotRecord record, CancellationToken cancellationToken)
    {
        var plan = new DeletionPlan(domain, tree, record);
        DiskMerge[] merges = [.. record.Disks.Select(disk => plan.FindMerge(disks, disk))];
        OverlaySearch search = await plan.SearchAsync(cancellationToken).ConfigureAwait(false);
        var planned = new List<DiskDeletion>();
        foreach (DiskMerge merge in merges)
        {
            await merge.ThrowIfHasInternalSnapshotsAsync(cancellationToken).ConfigureAwait(false);
            planned.Add(await plan.DescribeAsync(merge, search, cancellationToken).ConfigureAwait(false));
        }

        return (new SnapshotDeletion { Snapshot = record.Name, Disks = planned }, merges);
    }

    /// <summary>Plans the deletion of a snapshot on which nothing was made, and which the disks have left: as if it were merged already, because its files are simply removed.</summary>
    /// <exception cref="LibvirtException">OperationUnsupported: something stands on them after all.</exception>
    internal static async ValueTask<SnapshotDeletion> MakeForLeafAsync(
        Domain domain, IReadOnlyList<DomainDisk> disks, SnapshotTree tree, SnapshotRecord record, CancellationToken cancellationToken)
    {
        var plan = new DeletionPlan(domain, tree, record);
        OverlaySearch search = await plan.SearchAsync(cancellationToken).ConfigureAwait(false);
        foreach (SnapshotDiskRecord disk in record.Disks)
        {
            string path = disk.Overlay.Path;
            ThrowIfUnjudged(search, path);
            if (disks.FirstOrDefault(open => open.Chain.Any(element => DiskMerge.IsSameFile(plan.Files, element.Path, path))) is { } user)
            {
                throw Refused($"'{path}' is in use by the disk '{user.Target}', though '{record.Name}' is not the current snapshot.");
            }

            if (search.OverlaysOf(path, except: []) is { Count: > 0 } overlays)
            {
                throw Refused($"'{path}' cannot be removed: {Spell(overlays)} {(overlays.Count == 1 ? "stands" : "stand")} on it.");
            }

            await plan.ThrowIfOpenAsync(path, cancellationToken).ConfigureAwait(false);
        }

        return new SnapshotDeletion
        {
            Snapshot = record.Name,
            Disks = [.. record.Disks.Select(static disk => new DiskDeletion
            {
                Target = disk.Target,
                Merge = MergeDirection.Backward, // the older file stays as it is
                StayingPath = disk.Frozen.Path,
                GoingPath = disk.Overlay.Path,
                ActivePath = disk.Frozen.Path, // nothing has to be opened
                ActiveFormat = disk.FrozenFormat,
                Stage = DeletionStage.Switched,
                Remove = [disk.Overlay.Path],
            })],
        };
    }

    private DiskMerge FindMerge(IReadOnlyList<DomainDisk> disks, SnapshotDiskRecord record)
    {
        DomainDisk disk = disks.FirstOrDefault(known => known.Target == record.Target && known.Open is not null)
            ?? throw Failed($"The snapshot '{_record.Name}' is of the disk '{record.Target}', which the domain '{_domain.Name}' does not have.");
        DiskMerge merge = DiskMerge.Find(disk, record, Files);
        SnapshotDiskRecord? parent = _record.Parent is { } name ? _tree.Find(name).Disks.FirstOrDefault(known => known.Target == record.Target) : null;
        return parent is null || _tree.ChildrenOf(_record.Parent!).Count > 1 || DiskMerge.IsSameFile(Files, parent.Overlay.Path, record.Frozen.Path)
            ? merge
            : throw Failed($"The snapshot '{_record.Parent}' left the disk '{record.Target}' at '{parent.Overlay.Path}', and '{_record.Name}' froze '{record.Frozen.Path}'.");
    }

    // Where the images of a domain are, other branches of it are too; and where they were put elsewhere, the store knows.
    private async ValueTask<OverlaySearch> SearchAsync(CancellationToken cancellationToken)
    {
        var search = new OverlaySearch(Options.Environment);
        IEnumerable<string> known = _tree.All.SelectMany(static record => record.Disks).SelectMany(static disk => new[] { disk.Frozen.Path, disk.Overlay.Path });
        IEnumerable<string> own = _record.Disks.SelectMany(static disk => new[] { disk.Frozen.Path, disk.Overlay.Path });
        foreach (string folder in own.Select(ReferenceResolver.DirectoryOf).Concat(_domain.Host.Options.ImageFolders).Distinct())
        {
            await search.LookInAsync(folder, cancellationToken).ConfigureAwait(false);
        }

        foreach (string path in known)
        {
            await search.LookAtAsync(path, cancellationToken).ConfigureAwait(false);
        }

        return search;
    }

    private async ValueTask<DiskDeletion> DescribeAsync(DiskMerge merge, OverlaySearch search, CancellationToken cancellationToken)
    {
        ThrowIfUnjudged(search, merge.Going.Path);
        string[] chain = [.. merge.Disk.Chain.Select(static element => element.Path)];
        IReadOnlyList<string> onOlder = search.OverlaysOf(merge.Older.Path, except: chain);
        IReadOnlyList<string> onNewer = search.OverlaysOf(merge.Newer.Path, except: chain);
        bool isForward = merge.Direction == MergeDirection.Forward;
        if (!isForward && onOlder.Count > 0)
        {
            throw Refused(
                $"Merging '{merge.Newer.Path}' into '{merge.Older.Path}' would destroy {Spell(onOlder)}, which {(onOlder.Count == 1 ? "stands" : "stand")} on the latter. "
                + "Rebase what is to be kept, or remove the rest.");
        }

        IReadOnlyList<string> relink = isForward ? [] : onNewer;
        foreach (string overlay in relink)
        {
            await OverlayLink.CheckAsync(Options, overlay, merge.Going.Path, merge.Staying.Path, merge.Staying.Format, cancellationToken).ConfigureAwait(false);
        }

        ChainElement active = merge.Disk.Chain[0];
        return new DiskDeletion
        {
            Target = merge.Target,
            Merge = merge.Direction,
            StayingPath = merge.Staying.Path,
            GoingPath = merge.Going.Path,
            ActivePath = active.Path,
            ActiveFormat = active.Format,
            Relink = relink,
            Remove = isForward && onOlder.Count > 0 ? [] : [merge.Going.Path],
        };
    }

    // Another domain, or another program, may have gone on with it.
    private async ValueTask ThrowIfOpenAsync(string path, CancellationToken cancellationToken)
    {
        if (Files.GetInfo(path) is not { Kind: StorageFileKind.Regular })
        {
            return;
        }

        try
        {
            var alone = new StorageOpenOptions { Writable = true, Lock = ImageLock.Writer };
            await (await Files.OpenAsync(path, alone, cancellationToken).ConfigureAwait(false)).DisposeAsync().ConfigureAwait(false);
        }
        catch (BlockLayerException error) when (error.Kind == BlockErrorKind.Conflict)
        {
            throw Refused($"'{path}' cannot be removed: somebody else has it open.");
        }
    }

    private static void ThrowIfUnjudged(OverlaySearch search, string path)
    {
        if (search.Unjudged is [UnjudgedFile first, ..])
        {
            throw Refused($"Whether '{first.Path}' needs '{path}' cannot be told: {first.Reason}");
        }
    }

    private static string Spell(IReadOnlyList<string> paths) => string.Join(", ", paths.Select(static path => $"'{path}'"));

    private static LibvirtException Refused(string message) => new(LibvirtErrorCode.OperationUnsupported, LibvirtErrorDomain.DomainSnapshot, message);

    private static LibvirtException Failed(string message) => new(LibvirtErrorCode.OperationFailed, LibvirtErrorDomain.DomainSnapshot, message);
}
