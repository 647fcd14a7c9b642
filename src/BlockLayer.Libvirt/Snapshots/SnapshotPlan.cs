using BlockLayer.Storage;

namespace BlockLayer.Libvirt;

/// <summary>Decides what a snapshot does to each disk of a domain, before it does anything.</summary>
internal static class SnapshotPlan
{
    /// <summary>What will be remembered of the snapshot, if it succeeds.</summary>
    /// <param name="definition">What the caller asks for.</param>
    /// <param name="flags">Of the call: whether new files exist already.</param>
    /// <param name="domain">Whose disks.</param>
    /// <param name="disks">The disks, open.</param>
    /// <param name="current">The snapshot that becomes its parent; null for none.</param>
    /// <exception cref="LibvirtException">ConfigUnsupported: a disk cannot take part as asked, no disk does, or a new file cannot be where it is to be.</exception>
    internal static SnapshotRecord Make(SnapshotDefinition definition, SnapshotCreateFlags flags, Domain domain, IReadOnlyList<DomainDisk> disks, string? current)
    {
        BlockLayer.Graph.BlockEnvironment environment = domain.Host.Options.Disks.Environment;
        DateTimeOffset now = DateTimeOffset.FromUnixTimeSeconds(environment.Time.GetUtcNow().ToUnixTimeSeconds());
        string name = definition.Name ?? now.ToUnixTimeSeconds().ToString(System.Globalization.CultureInfo.InvariantCulture);
        var asked = new Dictionary<string, SnapshotDiskDefinition>(StringComparer.Ordinal);
        foreach (SnapshotDiskDefinition disk in definition.Disks)
        {
            string target = FindDisk(domain, disk.Name).Target;
            if (!asked.TryAdd(target, disk))
            {
                throw Refused($"The disk '{target}' is described twice.");
            }
        }

        var records = new List<SnapshotDiskRecord>();
        foreach (DomainDisk disk in disks)
        {
            SnapshotDiskDefinition wanted = asked.GetValueOrDefault(disk.Target) ?? new SnapshotDiskDefinition { Name = disk.Target };
            bool canTakePart = disk.Source is not null && !disk.Definition.IsReadOnly;
            if (wanted.Location == SnapshotLocation.External && !canTakePart)
            {
                throw Refused($"The disk '{disk.Target}' is {(disk.Source is null ? "empty" : "read-only")} and cannot take part.");
            }

            bool takesPart = wanted.Location is { } location ? location == SnapshotLocation.External : !disk.Definition.IsLeftOutOfSnapshots;
            if (canTakePart && takesPart)
            {
                records.Add(MakeDisk(disk, wanted, name));
            }
        }

        if (records.Count == 0)
        {
            throw Refused("No disk takes part in the snapshot.");
        }

        CheckFiles(records, flags, environment.Files);
        return new SnapshotRecord
        {
            Name = name,
            Parent = current,
            Description = definition.Description,
            CreationTime = now,
            State = domain.State,
            Disks = records,
        };
    }

    /// <summary>The present file's name with the snapshot's name in the place of its suffix, as libvirt makes it.</summary>
    internal static string NameFor(string path, string snapshot)
    {
        int dot = path.LastIndexOf('.');
        string stem = dot > path.LastIndexOf('/') + 1 ? path[..dot] : path; // a name that begins with its only dot has no suffix
        return $"{stem}.{snapshot}";
    }

    private static SnapshotDiskRecord MakeDisk(DomainDisk disk, SnapshotDiskDefinition wanted, string snapshot)
    {
        DiskSource frozen = disk.Source!;
        if (wanted.Source is null && frozen.IsBlockDevice)
        {
            throw Refused($"The disk '{disk.Target}' is a device, so no name can be made for its new file: name one.");
        }

        string format = wanted.Format ?? "qcow2";
        if (format == "raw")
        {
            throw Refused($"The new file of '{disk.Target}' cannot be raw: a raw file records no backing file.");
        }

        return new SnapshotDiskRecord
        {
            Target = disk.Target,
            Frozen = frozen,
            FrozenFormat = disk.Format ?? throw Refused($"The format of '{disk.Target}' is not known while it is not open; its domain does not say it."),
            Overlay = wanted.Source ?? new DiskSource(IsBlockDevice: false, NameFor(frozen.Path, snapshot)),
            OverlayFormat = format,
            OnDelete = wanted.OnDelete,
        };
    }

    private static void CheckFiles(List<SnapshotDiskRecord> records, SnapshotCreateFlags flags, StorageProvider files)
    {
        var taken = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (SnapshotDiskRecord record in records)
        {
            string path = record.Overlay.Path;
            if (!taken.TryAdd(path, record.Target))
            {
                throw Refused($"'{path}' would be the new file of both '{taken[path]}' and '{record.Target}'.");
            }

            bool reuses = (flags & SnapshotCreateFlags.ReuseExternal) != 0;
            StorageFileInfo? found = files.GetInfo(path);
            if (reuses && found is null)
            {
                throw Refused($"There is nothing at '{path}' for '{record.Target}' to use (REUSE_EXT).");
            }

            if (!reuses && found is not null)
            {
                throw Refused($"'{path}', the new file of '{record.Target}', exists already: remove it, or name another; an overlay of the disk that was made before is used with REUSE_EXT.");
            }
        }
    }

    private static DomainDisk FindDisk(Domain domain, string name)
    {
        try
        {
            return domain.FindDisk(name);
        }
        catch (LibvirtException error) when (error.Code == LibvirtErrorCode.InvalidArg)
        {
            throw new LibvirtException(error.Error with { Code = LibvirtErrorCode.ConfigUnsupported, Domain = LibvirtErrorDomain.DomainSnapshot }, error);
        }
    }

    private static LibvirtException Refused(string message) => new(LibvirtErrorCode.ConfigUnsupported, LibvirtErrorDomain.DomainSnapshot, message);
}
