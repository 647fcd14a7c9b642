using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace BlockLayer.Storage;

/// <summary>
/// The C library calls that <see cref="LinuxFile"/> and <see cref="LinuxPlatform"/> use, with their constants as x86-64 and arm64 share them (Linux
/// uapi headers). Every call returns what the C library does; a failed one leaves errno for <see cref="Marshal.GetLastPInvokeError"/>, which has to
/// be read in the next statement. The calls named <c>...NoErrno</c> leave none: they are for callers that answer any failure in the same way.
/// </summary>
internal static unsafe partial class Libc
{
    internal const int OpenReadOnly = 0;
    internal const int OpenReadWrite = 2;
    internal const int OpenCreate = 0x40;
    internal const int OpenExclusive = 0x80;
    internal const int OpenNonBlocking = 0x800;
    internal const int OpenCloseOnExec = 0x80000;

    internal const int CurrentDirectory = -100;   // AT_FDCWD
    internal const int EmptyPath = 0x1000;        // AT_EMPTY_PATH
    internal const uint StatxBasic = 0x7ff;       // STATX_BASIC_STATS

    internal const int ReadNoWait = 8;            // RWF_NOWAIT

    internal const int SeekEnd = 2;
    internal const int SeekData = 3;
    internal const int SeekHole = 4;

    internal const int FallocateKeepSize = 1;
    internal const int FallocatePunchHole = 2;
    internal const int FallocateZeroRange = 0x10;

    internal const int LockGet = 36;              // F_OFD_GETLK
    internal const int LockSet = 37;              // F_OFD_SETLK
    internal const short LockRead = 0;
    internal const short LockWrite = 1;
    internal const short LockNone = 2;

    internal const long TmpfsMagic = 0x01021994;
    internal const long RamfsMagic = 0x858458f6;

    private const string Library = "libc";

    [LibraryImport(Library, EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int Open(string path, int flags, uint mode);

    [LibraryImport(Library, EntryPoint = "pread", SetLastError = true)]
    internal static partial nint PRead(SafeFileHandle file, byte* buffer, nuint count, long offset);

    [LibraryImport(Library, EntryPoint = "pread")]
    internal static partial nint PReadNoErrno(SafeFileHandle file, byte* buffer, nuint count, long offset);

    [LibraryImport(Library, EntryPoint = "pwrite")]
    internal static partial nint PWriteNoErrno(SafeFileHandle file, byte* buffer, nuint count, long offset);

    [LibraryImport(Library, EntryPoint = "pwrite", SetLastError = true)]
    internal static partial nint PWrite(SafeFileHandle file, byte* buffer, nuint count, long offset);

    [LibraryImport(Library, EntryPoint = "preadv2")]
    internal static partial nint PReadV2NoErrno(SafeFileHandle file, IoVector* vectors, int count, long offset, int flags);

    [LibraryImport(Library, EntryPoint = "preadv2", SetLastError = true)]
    internal static partial nint PReadV2(SafeFileHandle file, IoVector* vectors, int count, long offset, int flags);

    [LibraryImport(Library, EntryPoint = "pwritev", SetLastError = true)]
    internal static partial nint PWriteV(SafeFileHandle file, IoVector* vectors, int count, long offset);

    [LibraryImport(Library, EntryPoint = "lseek", SetLastError = true)]
    internal static partial long Seek(SafeFileHandle file, long offset, int whence);

    [LibraryImport(Library, EntryPoint = "fallocate", SetLastError = true)]
    internal static partial int Fallocate(SafeFileHandle file, int mode, long offset, long length);

    [LibraryImport(Library, EntryPoint = "ftruncate", SetLastError = true)]
    internal static partial int Truncate(SafeFileHandle file, long length);

    [LibraryImport(Library, EntryPoint = "fdatasync", SetLastError = true)]
    internal static partial int SyncData(SafeFileHandle file);

    [LibraryImport(Library, EntryPoint = "fsync", SetLastError = true)]
    internal static partial int Sync(SafeFileHandle file);

    [LibraryImport(Library, EntryPoint = "copy_file_range", SetLastError = true)]
    internal static partial nint CopyFileRange(
        SafeFileHandle source, ref long sourceOffset, SafeFileHandle target, ref long targetOffset, nuint length, uint flags);

    [LibraryImport(Library, EntryPoint = "fcntl", SetLastError = true)]
    internal static partial int Lock(SafeFileHandle file, int command, ref FileLock range);

    [LibraryImport(Library, EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int Statx(SafeFileHandle file, string path, int flags, uint mask, out FileStatus status);

    [LibraryImport(Library, EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int Statx(int directory, string path, int flags, uint mask, out FileStatus status);

    [LibraryImport(Library, EntryPoint = "fstatfs", SetLastError = true)]
    internal static partial int StatFileSystem(SafeFileHandle file, out FileSystemStatus status);

    [LibraryImport(Library, EntryPoint = "realpath", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial byte* RealPath(string path, byte* resolved);

    [LibraryImport(Library, EntryPoint = "free")]
    internal static partial void Free(void* memory);

    [LibraryImport(Library, EntryPoint = "rename", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int Rename(string path, string newPath);

    [LibraryImport(Library, EntryPoint = "unlink", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int Unlink(string path);

    /// <summary><c>struct iovec</c>.</summary>
    internal struct IoVector
    {
        internal void* Base;
        internal nuint Length;
    }

    /// <summary><c>struct flock</c>; the process id has to be 0 in open-file-description commands.</summary>
    internal struct FileLock
    {
        internal short Type;
        internal short Whence;
        internal long Start;
        internal long Length;
        internal int ProcessId;
    }

    /// <summary><c>struct statx</c>: the one stat structure that is laid out alike on every architecture.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    internal struct FileStatus
    {
        private const int TypeMask = 0xf000;

        [FieldOffset(28)]
        private readonly ushort _mode;

        [FieldOffset(32)]
        internal readonly ulong Inode;

        [FieldOffset(40)]
        internal readonly long Size;

        /// <summary>Allocated room in units of 512 bytes, whatever the block size.</summary>
        [FieldOffset(48)]
        internal readonly long Blocks;

        [FieldOffset(128)]
        private readonly uint _targetMajor;

        [FieldOffset(132)]
        private readonly uint _targetMinor;

        [FieldOffset(136)]
        private readonly uint _deviceMajor;

        [FieldOffset(140)]
        private readonly uint _deviceMinor;

        internal readonly StorageFileKind Kind => (_mode & TypeMask) switch
        {
            0x8000 => StorageFileKind.Regular,
            0x4000 => StorageFileKind.Directory,
            0x6000 => StorageFileKind.BlockDevice,
            _ => StorageFileKind.Other,
        };

        /// <summary>A block device is the device it stands for, whichever of its nodes was opened; no file has inode 0.</summary>
        internal readonly StorageIdentity Identity => Kind == StorageFileKind.BlockDevice
            ? new StorageIdentity(((ulong)_targetMajor << 32) | _targetMinor, 0)
            : new StorageIdentity(((ulong)_deviceMajor << 32) | _deviceMinor, Inode);
    }

    /// <summary>The part of <c>struct statfs</c> that is used: its first field.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 120)]
    internal struct FileSystemStatus
    {
        internal readonly long Type;
    }
}
