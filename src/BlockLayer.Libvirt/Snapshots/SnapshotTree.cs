namespace BlockLayer.Libvirt;

/// <summary>The snapshots of a domain: who was made from whom, and which one is current. It never changes; changes make another tree.</summary>
/// <remarks>Invariants: names are unique; every parent exists; nobody is their own ancestor; the current one exists.</remarks>
public sealed class SnapshotTree
{
    private readonly SnapshotRecord[] _records; // parents before their children

    private SnapshotTree(SnapshotRecord[] records, string? current)
    {
        _records = records;
        CurrentName = current;
    }

    /// <summary>No snapshots.</summary>
    public static SnapshotTree Empty { get; } = new([], current: null);

    /// <summary>All, each after its parent.</summary>
    public IReadOnlyList<SnapshotRecord> All => _records;

    /// <summary>Those without a parent.</summary>
    public IReadOnlyList<SnapshotRecord> Roots => [.. _records.Where(record => record.Parent is null)];

    /// <summary>The name of the one that the disks were last made from; null for none.</summary>
    public string? CurrentName { get; }

    /// <summary>The one that the disks were last made from.</summary>
    /// <exception cref="LibvirtException">NoDomainSnapshot: there is none.</exception>
    public SnapshotRecord Current => CurrentName is { } name ? Find(name) : throw Missing("There is no current snapshot.");

    /// <summary>The snapshot of that name.</summary>
    /// <exception cref="LibvirtException">NoDomainSnapshot.</exception>
    public SnapshotRecord Find(string name) => TryFind(name) ?? throw Missing($"There is no snapshot '{name}'.");

    /// <summary>The snapshot of that name; null if there is none.</summary>
    public SnapshotRecord? TryFind(string name) => Array.Find(_records, record => record.Name == name);

    /// <summary>The one that a snapshot was made from.</summary>
    /// <exception cref="LibvirtException">NoDomainSnapshot: there is no such snapshot, or it was made from none.</exception>
    public SnapshotRecord ParentOf(string name) => Find(name).Parent is { } parent ? Find(parent) : throw Missing($"The snapshot '{name}' has no parent.");

    /// <summary>Those whose parent it is.</summary>
    public IReadOnlyList<SnapshotRecord> ChildrenOf(string name) => [.. _records.Where(record => record.Parent == name)];

    /// <summary>Its children, their children and so on, each after its parent.</summary>
    public IReadOnlyList<SnapshotRecord> DescendantsOf(string name)
    {
        var above = new HashSet<string>(StringComparer.Ordinal) { name };
        return [.. _records.Where(record => record.Parent is { } parent && above.Contains(parent) && above.Add(record.Name))];
    }

    /// <summary>The tree of these snapshots, as a file lists them.</summary>
    /// <exception cref="LibvirtException">InvalidDomainSnapshot: they make no tree, and why.</exception>
    internal static SnapshotTree Of(IEnumerable<SnapshotRecord> records, string? current)
    {
        var ordered = new List<SnapshotRecord>();
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (SnapshotRecord record in records)
        {
            if (record.Parent is { } parent && !names.Contains(parent))
            {
                throw Broken($"'{record.Name}' comes from '{parent}', which is not told before it.");
            }

            if (!names.Add(record.Name))
            {
                throw Broken($"'{record.Name}' is there twice.");
            }

            ordered.Add(record);
        }

        return current is null || names.Contains(current) ? new SnapshotTree([.. ordered], current) : throw Broken($"'{current}' is the current one and is not there.");
    }

    /// <summary>With one more, made from the current one, which it becomes.</summary>
    /// <exception cref="LibvirtException">OperationInvalid: its name is taken, or its parent is not the current one.</exception>
    internal SnapshotTree Add(SnapshotRecord record)
    {
        if (TryFind(record.Name) is not null)
        {
            throw Invalid($"There is a snapshot '{record.Name}' already.");
        }

        return record.Parent == CurrentName
            ? new SnapshotTree([.. _records, record], record.Name)
            : throw Invalid($"'{record.Name}' was planned on '{record.Parent ?? "nothing"}', and '{CurrentName ?? "nothing"}' is current now.");
    }

    /// <summary>With one in another state.</summary>
    internal SnapshotTree Replace(SnapshotRecord record)
        => new([.. _records.Select(known => known.Name == record.Name ? record : known)], CurrentName);

    /// <summary>With another current one, or none.</summary>
    /// <exception cref="LibvirtException">NoDomainSnapshot.</exception>
    internal SnapshotTree WithCurrent(string? name) => new(_records, name is null ? null : Find(name).Name);

    /// <summary>
    /// Without one. Its children come from its parent now, which also becomes current if it was; and what the others say of the files that were merged follows:
    /// the file that is gone is told as the one that took its data.
    /// </summary>
    /// <exception cref="LibvirtException">NoDomainSnapshot.</exception>
    internal SnapshotTree Remove(string name, SnapshotMerge merge)
    {
        SnapshotRecord removed = Find(name);
        IEnumerable<SnapshotRecord> rest = _records
            .Where(record => record.Name != name)
            .Select(record => record.Parent == name ? record with { Parent = removed.Parent } : record);
        if (merge == SnapshotMerge.Merged)
        {
            rest = rest.Select(record => record with { Disks = [.. record.Disks.Select(disk => Follow(disk, removed))] });
        }

        return new SnapshotTree([.. rest], CurrentName == name ? removed.Parent : CurrentName);
    }

    private static SnapshotDiskRecord Follow(SnapshotDiskRecord disk, SnapshotRecord removed)
    {
        if (removed.Disks.FirstOrDefault(each => each.Target == disk.Target) is not { } merged)
        {
            return disk;
        }

        bool isForward = merged.OnDelete == MergeDirection.Forward;
        (DiskSource gone, DiskSource stays, string format) = isForward
            ? (merged.Frozen, merged.Overlay, merged.OverlayFormat)
            : (merged.Overlay, merged.Frozen, merged.FrozenFormat);
        disk = disk.Frozen == gone ? disk with { Frozen = stays, FrozenFormat = format } : disk;
        return disk.Overlay == gone ? disk with { Overlay = stays, OverlayFormat = format } : disk;
    }

    private static LibvirtException Missing(string message) => new(LibvirtErrorCode.NoDomainSnapshot, LibvirtErrorDomain.DomainSnapshot, message);

    private static LibvirtException Invalid(string message) => new(LibvirtErrorCode.OperationInvalid, LibvirtErrorDomain.DomainSnapshot, message);

    private static LibvirtException Broken(string message) => new(LibvirtErrorCode.InvalidDomainSnapshot, LibvirtErrorDomain.DomainSnapshot, message);
}
