using System.Runtime.InteropServices;
using BlockLayer.Primitives;

namespace BlockLayer.Storage;

internal sealed unsafe partial class LinuxFile
{
    private const long SectorSize = 512;

    internal override long? GetAllocatedLength()
    {
        if (Info.Kind != StorageFileKind.Regular)
        {
            return null;
        }

        return Libc.Statx(_handle, string.Empty, Libc.EmptyPath, Libc.StatxBasic, out Libc.FileStatus status) == 0
            ? status.Blocks * SectorSize
            : throw Failure("Asking for the allocated length");
    }

    internal override StorageExtent GetExtent(long offset, long length)
    {
        long data = Libc.Seek(_handle, offset, Libc.SeekData);
        if (data < 0)
        {
            // ENXIO: there is no data from here to the end. Anything else: this file system cannot tell.
            int errno = Marshal.GetLastPInvokeError();
            return new StorageExtent(length, IsHole: errno == Errno.NoDevice);
        }

        if (data > offset)
        {
            return new StorageExtent(Math.Min(length, data - offset), IsHole: true);
        }

        // ENXIO here: the file was cut meanwhile.
        long hole = FullLength() ?? Libc.Seek(_handle, offset, Libc.SeekHole);
        return new StorageExtent(hole > offset ? Math.Min(length, hole - offset) : length, IsHole: false);
    }

    /// <summary>
    /// The length of a file in memory that has as many pages as its length takes, so none is missing: there SEEK_HOLE looks at each page, which takes 30 ms a gigabyte, before a copy
    /// can begin. Null for any other. (Pages reserved past the end can hide as many holes: those are told as data then, and read as the zeroes that they are.)
    /// </summary>
    private long? FullLength()
        => _cachedReads == CachedReads.Always
            && Libc.Statx(_handle, string.Empty, Libc.EmptyPath, Libc.StatxBasic, out Libc.FileStatus status) == 0
            && status.Blocks * SectorSize == Alignment.RoundUp(status.Size, Environment.SystemPageSize)
            ? status.Size
            : null;

    internal override void WriteZeroes(long offset, long length, ZeroMode mode)
    {
        bool done = mode == ZeroMode.MayUnmap
            ? TryPunch(offset, length) && TryGrow(offset + length)
            : TryZeroInPlace(offset, length) || (TryPunch(offset, length) && TryFallocate(0, offset, length));
        if (!done)
        {
            WriteZeroBytes(offset, length);
        }
    }

    internal override void Discard(long offset, long length) => TryPunch(offset, length);

    internal override long CopyTo(long offset, PlatformFile target, long targetOffset, long length)
    {
        if (target is not LinuxFile file)
        {
            return 0;
        }

        long copied = 0;
        while (copied < length)
        {
            long from = offset + copied;
            long to = targetOffset + copied;
            nint step = Libc.CopyFileRange(_handle, ref from, file._handle, ref to, (nuint)(length - copied), 0);
            if (step > 0)
            {
                copied += step;
                continue;
            }

            int errno = step == 0 ? 0 : Marshal.GetLastPInvokeError();
            if (errno == Errno.Interrupted)
            {
                continue;
            }

            // 0 is the end of this file, or a file system that pretends to copy. The plain way finds out.
            return errno == 0 || errno is Errno.CrossDevice or Errno.BadFile || Errno.MeansUnsupported(errno)
                ? copied
                : throw Errno.Failure(errno, $"Copy of {length - copied} bytes at {offset + copied} to {file.Path}", Path, offset + copied);
        }

        return copied;
    }

    private bool TryPunch(long offset, long length) => TryFallocate(Libc.FallocatePunchHole | Libc.FallocateKeepSize, offset, length);

    /// <summary>Zeroes that stay allocated, the length grown if needed; devices refuse to grow, so they are asked to keep it.</summary>
    private bool TryZeroInPlace(long offset, long length)
        => TryFallocate(Libc.FallocateZeroRange | (Info.Kind == StorageFileKind.BlockDevice ? Libc.FallocateKeepSize : 0), offset, length);

    /// <summary>
    /// Makes the file at least <paramref name="end"/> long. Not by ftruncate: between asking for the length and setting it, a write at the end could
    /// grow the file further, and would be cut off. Allocating the last byte leaves what is there and never shortens.
    /// </summary>
    private bool TryGrow(long end) => GetLength() >= end || TryFallocate(0, end - 1, 1);

    /// <summary>False when this file system has no such call, or not for a range so aligned.</summary>
    private bool TryFallocate(int mode, long offset, long length)
    {
        while (Libc.Fallocate(_handle, mode, offset, length) != 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            if (Errno.MeansUnsupported(errno))
            {
                return false;
            }

            if (errno != Errno.Interrupted)
            {
                throw Errno.Failure(errno, $"Zeroing or releasing {length} bytes at {offset}", Path, offset);
            }
        }

        return true;
    }
}
