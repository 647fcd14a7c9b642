using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Storage;

namespace BlockLayer.Libvirt;

/// <summary>The two images of an open disk that become one when a snapshot is deleted, and the job that does it.</summary>
internal sealed class DiskMerge
{
    private DiskMerge(DomainDisk disk, ChainElement newer, ChainElement older, MergeDirection direction)
    {
        Disk = disk;
        Newer = newer;
        Older = older;
        Direction = direction;
    }

    internal DomainDisk Disk { get; }

    /// <summary>The image that the snapshot put on top.</summary>
    internal ChainElement Newer { get; }

    /// <summary>The image right below it, which the snapshot froze.</summary>
    internal ChainElement Older { get; }

    internal MergeDirection Direction { get; }

    internal ChainElement Going => Direction == MergeDirection.Forward ? Older : Newer;

    internal ChainElement Staying => Direction == MergeDirection.Forward ? Newer : Older;

    internal string Target => Disk.Target;

    internal BlockJobType JobType => Direction == MergeDirection.Forward ? BlockJobType.Pull : Newer.Index == 0 ? BlockJobType.ActiveCommit : BlockJobType.Commit;

    /// <summary>Finds the two images in the chain of an open disk.</summary>
    /// <exception cref="LibvirtException">OperationFailed: the chain is another one than the snapshot remembers.</exception>
    internal static DiskMerge Find(DomainDisk disk, SnapshotDiskRecord record, StorageProvider files)
    {
        IReadOnlyList<ChainElement> chain = disk.Chain;
        ChainElement newer = chain.FirstOrDefault(element => IsSameFile(files, element.Path, record.Overlay.Path))
            ?? throw Mismatch($"The snapshot put '{record.Overlay.Path}' on the disk '{disk.Target}', and it is not in its chain: {Spell(chain)}.");
        ChainElement? older = newer.Index + 1 < chain.Count ? chain[newer.Index + 1] : null;
        return older is not null && IsSameFile(files, older.Path, record.Frozen.Path)
            ? new DiskMerge(disk, newer, older, record.OnDelete)
            : throw Mismatch($"The snapshot froze '{record.Frozen.Path}' of the disk '{disk.Target}', and below '{newer.Path}' there is {(older is null ? "nothing" : $"'{older.Path}'")}.");
    }

    /// <summary>The same for a deletion that goes on; null when the file that goes is not in the chain any more: the disk has switched.</summary>
    /// <exception cref="LibvirtException">OperationFailed: the chain is another one than the snapshot remembers.</exception>
    internal static DiskMerge? FindUnfinished(DomainDisk disk, DiskDeletion deletion, SnapshotDiskRecord record, StorageProvider files)
        => disk.Chain.Any(element => IsSameFile(files, element.Path, deletion.GoingPath)) ? Find(disk, record, files) : null;

    /// <summary>True when two paths lead to one file, or are the same.</summary>
    internal static bool IsSameFile(StorageProvider files, string path, string other)
        => path == other || (files.GetInfo(path) is { } one && files.GetInfo(other) is { } two && one.Identity == two.Identity);

    /// <summary>
    /// Refuses files whose internal snapshots would be lost: those of a file that goes, and those of the newer one, which show the older one where they hold nothing themselves.
    /// </summary>
    /// <exception cref="LibvirtException">OperationUnsupported.</exception>
    internal async ValueTask ThrowIfHasInternalSnapshotsAsync(CancellationToken cancellationToken)
    {
        foreach (ChainElement element in new[] { Newer, Going }.Distinct())
        {
            if (ImageSnapshots.CanHave(element.Node) && await ImageSnapshots.ListAsync(element.Node, cancellationToken).ConfigureAwait(false) is { Count: > 0 } found)
            {
                throw new LibvirtException(
                    LibvirtErrorCode.OperationUnsupported,
                    LibvirtErrorDomain.DomainSnapshot,
                    $"'{element.Path}' of the disk '{Target}' holds {found.Count} internal snapshots, the first called '{found[0].Name}', which would be lost.");
            }
        }
    }

    /// <summary>A job that merges them and waits to be finalized.</summary>
    internal BlockJob CreateJob() => JobType switch
    {
        BlockJobType.Pull => new StreamJob(Disk.Open!.Root, new StreamOptions { Id = Id, Top = Newer.Node, Bottom = Older.Node, AutoFinalize = false }),
        BlockJobType.Commit => new CommitJob(Disk.Open!.Root, new CommitOptions { Id = Id, Top = Newer.Node, Base = Older.Node, AutoFinalize = false }),
        _ => new ActiveCommitJob(Disk.Open!.Root, new ActiveCommitOptions { Id = Id, Base = Older.Node, AutoFinalize = false }),
    };

    private string Id => $"snapshot-delete-{Target}";

    private static string Spell(IReadOnlyList<ChainElement> chain) => string.Join(" <- ", chain.Reverse().Select(element => $"'{element.Path}'"));

    private static LibvirtException Mismatch(string message) => new(LibvirtErrorCode.OperationFailed, LibvirtErrorDomain.DomainSnapshot, message);
}
