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

    private ImageLock? _held; // what is on the file; null where nothing is

    internal override void Lock(ImageLock wanted) => Hold(wanted);

    internal override void ChangeLock(ImageLock wanted)
    {
        if (_held is null)
        {
            throw ImageLock.NotHeld(Path);
        }

        Hold(wanted);
    }

    /// <summary>Takes what is wanted beyond what is held, asks, and only then gives back what is held beyond what is wanted.</summary>
    private void Hold(ImageLock wanted)
    {
        ImageLock? before = _held;
        try
        {
            if (!TryTakeBytes(wanted))
            {
                return;
            }

            ThrowIfHeldAgainst(wanted);
        }
        catch (BlockLayerException)
        {
            ReleaseAllBut(before);
            throw;
        }

        ReleaseAllBut(wanted);
        _held = wanted;
    }

    private bool TryTakeBytes(ImageLock wanted)
    {
        for (int bit = 0; bit < PermissionBits; bit++)
        {
            if ((Has(wanted.Used, bit) && !TryTakeByte(UsedBase + bit, wanted))
                || (!Has(wanted.Shared, bit) && !TryTakeByte(NotSharedBase + bit, wanted)))
            {
                return false;
            }
        }

        return true;
    }

    private void ThrowIfHeldAgainst(ImageLock wanted)
    {
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
        if (!_handle.IsClosed)
        {
            ReleaseAllBut(kept: null);
        }
    }

    private void ReleaseAllBut(ImageLock? kept)
    {
        if (kept is null)
        {
            Release(start: 0, length: 0); // to the end, wherever that is
            return;
        }

        for (int bit = 0; bit < PermissionBits; bit++)
        {
            if (!Has(kept.Used, bit))
            {
                Release(UsedBase + bit, length: 1);
            }

            if (Has(kept.Shared, bit))
            {
                Release(NotSharedBase + bit, length: 1);
            }
        }
    }

    private void Release(long start, long length)
    {
        // A failure leaves nothing to undo: either there were no locks, or closing releases them.
        var range = new Libc.FileLock { Type = Libc.LockNone, Start = start, Length = length };
        _ = Libc.Lock(_handle, Libc.LockSet, ref range);
    }
}
