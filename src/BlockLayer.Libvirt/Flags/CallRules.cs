using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace BlockLayer.Libvirt;

/// <summary>
/// Which flags and arguments each call takes, before anything is looked at that can change: libvirt's documentation of each call, and what its QEMU driver
/// refuses besides. The connection has been asked before (read-only), and whether a disk was named.
/// </summary>
internal static class CallRules
{
    private const BlockRebaseFlags ForCopiesAlone
        = BlockRebaseFlags.Shallow | BlockRebaseFlags.ReuseExternal | BlockRebaseFlags.CopyRaw | BlockRebaseFlags.CopyDevice;

    private const BlockRebaseFlags AllOfRebase
        = ForCopiesAlone | BlockRebaseFlags.Copy | BlockRebaseFlags.Relative | BlockRebaseFlags.BandwidthBytes;

    private const BlockCopyFlags AllOfCopy
        = BlockCopyFlags.Shallow | BlockCopyFlags.ReuseExternal | BlockCopyFlags.TransientJob | BlockCopyFlags.SynchronousWrites;

    private const BlockCommitFlags AllOfCommit
        = BlockCommitFlags.Shallow | BlockCommitFlags.Delete | BlockCommitFlags.Active | BlockCommitFlags.Relative | BlockCommitFlags.BandwidthBytes;

    /// <summary>Every call that names a disk: it has to.</summary>
    internal static string RequireDisk(string? disk)
        => string.IsNullOrEmpty(disk) ? throw LibvirtException.InvalidArg("disk is missing: name it by its source path or its target.") : disk;

    /// <summary>BlockPull.</summary>
    internal static void Check(BlockPullFlags flags) => RefuseUnknown("BlockPull", (int)flags, (int)BlockPullFlags.BandwidthBytes);

    /// <summary>BlockRebase, with and without a copy.</summary>
    internal static void Check(BlockRebaseFlags flags, string? @base)
    {
        bool isCopy = (flags & BlockRebaseFlags.Copy) != 0;
        if (isCopy && @base is null)
        {
            throw LibvirtException.InvalidArg("base is missing: with COPY it names the file of the copy.");
        }

        if (!isCopy && (flags & ForCopiesAlone) != 0)
        {
            throw LibvirtException.InvalidArg($"{Spell(flags & ForCopiesAlone)} is for copies: COPY is missing.");
        }

        RefuseUnknown("BlockRebase", (int)flags, (int)AllOfRebase);
        if ((flags & BlockRebaseFlags.Relative) == 0)
        {
            return;
        }

        if (isCopy)
        {
            throw LibvirtException.Refused(LibvirtErrorCode.ArgumentUnsupported, "RELATIVE does not go with COPY: a copy records absolute names.");
        }

        if (@base is null)
        {
            throw LibvirtException.Refused(LibvirtErrorCode.InvalidArg, "RELATIVE needs a base: without one no name is recorded.");
        }
    }

    /// <summary>BlockCopy.</summary>
    internal static void Check(BlockCopyFlags flags, string? destinationXml)
    {
        if (destinationXml is null)
        {
            throw LibvirtException.InvalidArg("destxml is missing: it describes the copy.");
        }

        RefuseUnknown("BlockCopy", (int)flags, (int)AllOfCopy);
    }

    /// <summary>BlockCommit.</summary>
    internal static void Check(BlockCommitFlags flags) => RefuseUnknown("BlockCommit", (int)flags, (int)AllOfCommit);

    /// <summary>BlockJobAbort.</summary>
    internal static void Check(BlockJobAbortFlags flags)
        => RefuseUnknown("BlockJobAbort", (int)flags, (int)(BlockJobAbortFlags.Async | BlockJobAbortFlags.Pivot));

    /// <summary>GetBlockJobInfo.</summary>
    internal static void Check(BlockJobInfoFlags flags) => RefuseUnknown("GetBlockJobInfo", (int)flags, (int)BlockJobInfoFlags.BandwidthBytes);

    /// <summary>BlockJobSetSpeed.</summary>
    internal static void Check(BlockJobSetSpeedFlags flags) => RefuseUnknown("BlockJobSetSpeed", (int)flags, (int)BlockJobSetSpeedFlags.BandwidthBytes);

    /// <summary>StreamDisk, first generation: exactly one of the three things.</summary>
    internal static void Check(StreamDiskFlags flags)
    {
        RefuseUnknown("StreamDisk", (int)flags, (int)(StreamDiskFlags.Start | StreamDiskFlags.Stop | StreamDiskFlags.One));
        if (flags is not (StreamDiskFlags.Start or StreamDiskFlags.Stop or StreamDiskFlags.One))
        {
            throw LibvirtException.InvalidArg($"StreamDisk takes one of START, STOP and ONE; found is {(flags == 0 ? "none" : Spell(flags))}.");
        }
    }

    /// <summary>BlockStream, third generation: without CONTINUOUS there has to be a cursor.</summary>
    internal static void Check(BlockStreamFlags flags, bool hasCursor)
    {
        RefuseUnknown("BlockStream", (int)flags, (int)BlockStreamFlags.Continuous);
        if (flags == BlockStreamFlags.None && !hasCursor)
        {
            throw LibvirtException.InvalidArg("cursor is missing: only CONTINUOUS goes without.");
        }
    }

    /// <summary>StreamDisk with what its flags go with: a device is named by its alias, and only a sector has an offset.</summary>
    internal static void CheckStreamDisk(StreamDiskFlags flags, string device, ulong offset)
    {
        Check(flags);
        if (device.StartsWith('/'))
        {
            throw LibvirtException.InvalidArg($"StreamDisk takes the target of the disk; found is '{device}'.");
        }

        if (flags != StreamDiskFlags.One && offset != 0)
        {
            throw LibvirtException.InvalidArg($"offset is {offset}; {Spell(flags)} is about the whole device, and takes 0.");
        }

        CheckCursor("offset", offset);
    }

    /// <summary>BlockStream with what its flags go with.</summary>
    internal static void CheckBlockStream(BlockStreamFlags flags, string path, bool hasCursor)
    {
        Check(flags, hasCursor);
        CheckStreamPath("BlockStream", path, flags: 0);
    }

    /// <summary>The third generation: disks have no names but their paths, and those have a place of fixed length.</summary>
    internal static void CheckStreamPath(string call, string path, int flags)
    {
        CheckPull(call, path, flags);
        if (!FitsStreamPath(path))
        {
            throw LibvirtException.InvalidArg($"{call} takes paths of at most {BlockStreamApi.PathMax - 1} bytes; found are {Encoding.UTF8.GetByteCount(path)}.");
        }
    }

    /// <summary>Whether a path fits the place that the third generation has for it, with its terminating zero.</summary>
    internal static bool FitsStreamPath(string path) => Encoding.UTF8.GetByteCount(path) < BlockStreamApi.PathMax;

    /// <summary>Offsets and cursors are positions in a disk, which are signed everywhere else; -1 means a failure.</summary>
    internal static void CheckCursor(string name, ulong position)
    {
        if (position > long.MaxValue)
        {
            throw LibvirtException.InvalidArg($"{name} is {position}; allowed are positions in the disk.");
        }
    }

    /// <summary>The generations whose calls define no flags.</summary>
    internal static void CheckNoFlags(string call, int flags) => RefuseUnknown(call, flags, known: 0);

    /// <summary>The second generation: no flags, and disks have no names but their paths.</summary>
    internal static void CheckPull(string call, string path, int flags)
    {
        CheckNoFlags(call, flags);
        if (!path.StartsWith('/'))
        {
            throw LibvirtException.InvalidArg($"{call} takes the path of the disk's active image; found is '{path}'.");
        }
    }

    /// <summary>The reading of <c>backing_path</c> that orphans an image: it has to be named.</summary>
    internal static void CheckPullBelow(string path, string? backingPath, int flags)
    {
        CheckPull("BlockPull", path, flags);
        if (backingPath is null)
        {
            throw LibvirtException.InvalidArg("backing_path is missing: it names the image that the chain is to end with.");
        }
    }

    /// <summary>BlockCommit, once its top is known: the active image asks for ACTIVE, and only the active image.</summary>
    internal static void CheckCommitTop(BlockCommitFlags flags, ChainElement top)
    {
        bool isActive = top.Index == 0;
        bool wantsActive = (flags & BlockCommitFlags.Active) != 0;
        if (isActive && !wantsActive)
        {
            throw LibvirtException.Refused(LibvirtErrorCode.InvalidArg, $"'{top.Path}' is the active image: committing it needs ACTIVE.");
        }

        if (wantsActive && !isActive)
        {
            throw LibvirtException.Refused(LibvirtErrorCode.InvalidArg, $"ACTIVE is for the active image, and '{top.Path}' is not.");
        }
    }

    /// <summary>Calls about a job: there has to be one. libvirt takes a disk without one for an argument that is wrong.</summary>
    internal static void RequireJob(string target, [NotNull] BlockJobType? job)
    {
        if (job is null)
        {
            throw LibvirtException.Refused(LibvirtErrorCode.InvalidArg, $"No job runs on the disk '{target}'.");
        }
    }

    /// <summary>Calls about a pull: there has to be one.</summary>
    internal static void RequirePull(string target, [NotNull] BlockJobType? job)
    {
        if (job != BlockJobType.Pull)
        {
            throw NoPull(target);
        }
    }

    /// <summary>There is no pull.</summary>
    internal static LibvirtException NoPull(string target) => LibvirtException.Refused(LibvirtErrorCode.OperationInvalid, $"No pull runs on the disk '{target}'.");

    /// <summary>BlockJobAbort, once the job is known: only a ready copy or active commit can pivot.</summary>
    /// <param name="flags">Of the call.</param>
    /// <param name="target">The disk, for messages.</param>
    /// <param name="job">What runs on the disk; null for nothing.</param>
    /// <param name="isReady">Whether the job has reached its second phase.</param>
    internal static void CheckAbort(BlockJobAbortFlags flags, string target, BlockJobType? job, bool isReady)
    {
        RequireJob(target, job);
        if ((flags & BlockJobAbortFlags.Pivot) == 0)
        {
            return;
        }

        if (job is not (BlockJobType.Copy or BlockJobType.ActiveCommit))
        {
            throw LibvirtException.Refused(
                LibvirtErrorCode.OperationInvalid,
                $"PIVOT is for a copy or an active commit, and what runs on the disk '{target}' is a {Spell(job.Value)}.");
        }

        if (!isReady)
        {
            throw LibvirtException.Refused(LibvirtErrorCode.BlockCopyActive, $"The job on the disk '{target}' is not ready to pivot.");
        }
    }

    private static void RefuseUnknown(string call, int flags, int known)
    {
        if ((flags & ~known) != 0)
        {
            throw LibvirtException.InvalidArg($"{call} has no flag 0x{flags & ~known:x}.");
        }
    }

    // As the constants of libvirt end: COPY_RAW, not CopyRaw.
    private static string Spell<T>(T flags)
        where T : struct, Enum
        => string.Join(", ", flags.ToString().Split(", ").Select(Spell));

    private static string Spell(string name) => name switch
    {
        nameof(BlockRebaseFlags.ReuseExternal) => "REUSE_EXT",
        nameof(BlockRebaseFlags.CopyRaw) => "COPY_RAW",
        nameof(BlockRebaseFlags.CopyDevice) => "COPY_DEV",
        _ => name.ToUpperInvariant(),
    };

    private static string Spell(BlockJobType job) => job == BlockJobType.ActiveCommit ? "active commit" : job.ToString().ToLowerInvariant();
}
