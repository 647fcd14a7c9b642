using System.Runtime.InteropServices;
using BlockLayer.Errors;

namespace BlockLayer.Storage;

/// <content>
/// QEMU's image locks: open-file-description locks, all shared ("read") ones, on single bytes. Byte 100 + bit says that the permission is in use,
/// byte 200 + bit that it is not shared. They only ever conflict in the test that follows taking them: everybody first takes his own bytes and then
/// asks whether somebody else holds a byte that contradicts, so of two that race at least one sees the other.
/// (QEMU, docs/system/images "Disk image file locking"; bytes seen in /proc/locks under qemu-io.)
/// Locks belong to the open file, not to the process: two opens in one process exclude each other like two programs.
/// </content>
internal sealed unsafe partial class LinuxFile
{
    private const int UsedBase = 100;
    private const int NotSharedBase = 200;
    private const int PermissionBits = 4;

    internal override void Lock(ImageLock wanted)
    {
        try
        {
            for (int bit = 0; bit < PermissionBits; bit++)
            {
                if (Has(wanted.Used, bit) && !TryTakeByte(UsedBase + bit, wanted))
                {
                    return;
                }

                if (!Has(wanted.Shared, bit) && !TryTakeByte(NotSharedBase + bit, wanted))
                {
                    return;
                }
            }

            for (int bit = 0; bit < PermissionBits; bit++)
            {
                if (Has(wanted.Used, bit) && IsHeldByOthers(NotSharedBase + bit))
                {
                    throw ImageLock.NotSharedByOthers((ImagePermissions)(1 << bit), Path);
                }

                if (!Has(wanted.Shared, bit) && IsHeldByOthers(UsedBase + bit))
                {
                    throw ImageLock.UsedByOthers((ImagePermissions)(1 << bit), Path);
                }
            }
        }
        catch (BlockLayerException)
        {
            ReleaseLocks();
            throw;
        }
    }

    private static bool Has(ImagePermissions set, int bit) => ((int)set >> bit & 1) != 0;

    /// <summary>
    /// False when the file system has no such locks and the open only reads: it goes on without, as QEMU does. Something that writes does not.
    /// </summary>
    private bool TryTakeByte(int at, ImageLock wanted)
    {
        var range = new Libc.FileLock { Type = Libc.LockRead, Start = at, Length = 1 };
        while (Libc.Lock(_handle, Libc.LockSet, ref range) != 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            switch (errno)
            {
                case Errno.Interrupted:
                    continue;
                case Errno.TryAgain or Errno.AccessDenied:
                    throw new BlockLayerException(BlockErrorKind.Conflict, $"Somebody else has byte {at} of the image locked for himself.") { Path = Path };
                case Errno.Invalid or Errno.NoLocks or Errno.NotSupported or Errno.NotImplemented when !wanted.Writes:
                    return false;
                default:
                    throw new BlockLayerException(
                        BlockErrorKind.Conflict, $"The image cannot be locked for writing: {Marshal.GetPInvokeErrorMessage(errno)}.")
                    { Path = Path };
            }
        }

        return true;
    }

    /// <summary>Asks whether a lock for ourselves alone could be had: our own shared lock does not stand in its way, anybody else's does.</summary>
    private bool IsHeldByOthers(int at)
    {
        var range = new Libc.FileLock { Type = Libc.LockWrite, Start = at, Length = 1 };
        return Libc.Lock(_handle, Libc.LockGet, ref range) != 0
            ? throw Failure($"Looking at the lock on byte {at}")
            : range.Type != Libc.LockNone;
    }

    /// <summary>
    /// Gives the locks back explicitly: closing alone would leave them to a child process that was forked but has not called exec yet.
    /// </summary>
    private void ReleaseLocks()
    {
        if (_handle.IsClosed)
        {
            return;
        }

        // A failure leaves nothing to undo: either there were no locks, or closing releases them.
        var everything = new Libc.FileLock { Type = Libc.LockNone };
        _ = Libc.Lock(_handle, Libc.LockSet, ref everything);
    }
}
