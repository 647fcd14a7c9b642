namespace BlockLayer.Libvirt;

/// <summary>Which flags the calls about snapshots take, and which snapshots they refuse, before any file is looked at; after libvirt's QEMU driver.</summary>
internal static class SnapshotRules
{
    private const SnapshotCreateFlags AllOfCreate = SnapshotCreateFlags.Redefine | SnapshotCreateFlags.Current | SnapshotCreateFlags.NoMetadata | SnapshotCreateFlags.Halt
        | SnapshotCreateFlags.DiskOnly | SnapshotCreateFlags.ReuseExternal | SnapshotCreateFlags.Quiesce | SnapshotCreateFlags.Atomic | SnapshotCreateFlags.Live;

    private const SnapshotDeleteFlags AllOfDelete = SnapshotDeleteFlags.Children | SnapshotDeleteFlags.MetadataOnly | SnapshotDeleteFlags.ChildrenOnly;

    private static readonly (SnapshotCreateFlags Flag, LibvirtErrorCode Code, string? Why)[] s_impossible =
    [
        (SnapshotCreateFlags.Redefine, LibvirtErrorCode.ArgumentUnsupported, "REDEFINE is not supported: snapshots are remembered by what made them, and a description proves nothing about files. To use files that exist, say REUSE_EXT."),
        (SnapshotCreateFlags.Current, LibvirtErrorCode.ArgumentUnsupported, "CURRENT is not supported: it says more about REDEFINE. A new snapshot is current; SetCurrentAsync makes another one so."),
        (SnapshotCreateFlags.Quiesce, LibvirtErrorCode.ArgumentUnsupported, "QUIESCE is not supported: there is no agent in a guest. Freeze its file systems from inside before the call, and thaw them after it."),
        (SnapshotCreateFlags.Live, LibvirtErrorCode.ConfigUnsupported, "LIVE is about the guest's memory, and there is none here. Guests go on while a snapshot is made; leave the flag out."),
    ];

    /// <summary>SnapshotCreateXML.</summary>
    /// <exception cref="LibvirtException">InvalidArg; ArgumentUnsupported: what needs libvirt's own store of descriptions, or an agent in a guest; ConfigUnsupported: what needs a guest's memory.</exception>
    internal static void Check(SnapshotCreateFlags flags)
    {
        if ((flags & ~AllOfCreate) != 0)
        {
            throw InvalidFlags("SnapshotCreateXML", (int)(flags & ~AllOfCreate));
        }

        if (s_impossible.FirstOrDefault(refused => (flags & refused.Flag) != 0) is { Why: { } why } impossible)
        {
            throw new LibvirtException(impossible.Code, LibvirtErrorDomain.DomainSnapshot, why);
        }
    }

    /// <summary>SnapshotCreateXML with HALT: what is remembered of a transient domain's snapshot would be left without a domain.</summary>
    /// <exception cref="LibvirtException">OperationInvalid: the domain is transient.</exception>
    internal static void CheckHalt(SnapshotCreateFlags flags, Domain domain)
    {
        if ((flags & SnapshotCreateFlags.Halt) != 0 && !domain.IsPersistent)
        {
            throw new LibvirtException(
                LibvirtErrorCode.OperationInvalid,
                LibvirtErrorDomain.DomainSnapshot,
                $"HALT is not for the domain '{domain.Name}', which is transient and would be gone. Leave it out, or define the domain first.");
        }
    }

    /// <summary>SnapshotDelete.</summary>
    /// <exception cref="LibvirtException">InvalidArg: an unknown flag, or both of those that exclude each other.</exception>
    internal static void Check(SnapshotDeleteFlags flags)
    {
        const SnapshotDeleteFlags Both = SnapshotDeleteFlags.Children | SnapshotDeleteFlags.ChildrenOnly;
        if ((flags & ~AllOfDelete) != 0)
        {
            throw InvalidFlags("SnapshotDelete", (int)(flags & ~AllOfDelete));
        }

        if ((flags & Both) == Both)
        {
            throw LibvirtException.InvalidArg("CHILDREN and CHILDREN_ONLY exclude each other.");
        }
    }

    /// <summary>SnapshotDelete of files, once the snapshot is known.</summary>
    /// <exception cref="LibvirtException">OperationUnsupported: with children; OperationInvalid: a disk is marked by a deletion that has not ended.</exception>
    internal static void CheckDelete(SnapshotRecord record, SnapshotDeleteFlags flags)
    {
        if ((flags & (SnapshotDeleteFlags.Children | SnapshotDeleteFlags.ChildrenOnly)) != 0)
        {
            throw new LibvirtException(
                LibvirtErrorCode.OperationUnsupported,
                LibvirtErrorDomain.DomainSnapshot,
                "Snapshots in files of their own are not deleted together with their children: delete them one by one.");
        }

        if (record.Disks.FirstOrDefault(static disk => disk.IsDeleteInProgress) is { } marked)
        {
            throw new LibvirtException(
                LibvirtErrorCode.OperationInvalid,
                LibvirtErrorDomain.DomainSnapshot,
                $"The disk '{marked.Target}' of the snapshot '{record.Name}' was the target of a deletion that has not ended; finish that first.");
        }
    }

    private static LibvirtException InvalidFlags(string call, int flags) => LibvirtException.InvalidArg($"{call} has no flag 0x{flags:x}.");
}
