using System.Runtime.InteropServices;
using BlockLayer.Errors;
using Microsoft.Win32.SafeHandles;

namespace BlockLayer.Storage;

/// <summary>Local files through the C library of Linux.</summary>
internal sealed class LinuxPlatform : Platform
{
    /// <summary>Owner reads and writes, others read, as qemu-img creates images.</summary>
    private const uint NewFileMode = 0b110_100_100;

    /// <summary>
    /// True on 64-bit Linux whose C library has the newest of the calls used: preadv2 and statx (glibc 2.28, musl 1.2.5).
    /// </summary>
    internal static bool IsSupported { get; } = OperatingSystem.IsLinux() && Environment.Is64BitProcess && LibraryIsRecent();

    internal override PlatformFile Open(string path, StorageOpenOptions options)
    {
        int flags = Libc.OpenCloseOnExec | Libc.OpenNonBlocking | (options.Writable ? Libc.OpenReadWrite : Libc.OpenReadOnly);
        flags |= options.Mode switch
        {
            StorageOpenMode.CreateNew => Libc.OpenCreate | Libc.OpenExclusive,
            StorageOpenMode.CreateOrTruncate => Libc.OpenCreate,
            _ => 0,
        };
        int descriptor;
        do
        {
            descriptor = Libc.Open(path, flags, NewFileMode);
        }
        while (descriptor < 0 && Marshal.GetLastPInvokeError() == Errno.Interrupted);

        if (descriptor < 0)
        {
            // A directory can be opened for reading only, so that a writer never comes to the question below.
            int errno = Marshal.GetLastPInvokeError();
            throw errno == Errno.IsDirectory && options.RegularOnly ? WrongKind(StorageFileKind.Directory, path) : Errno.Failure(errno, "Open", path);
        }

        var handle = new SafeFileHandle(descriptor, ownsHandle: true);
        try
        {
            // Decided on the handle, not on the path, which may lead elsewhere by now.
            StorageFileInfo info = Describe(handle, path);
            if (options.RegularOnly && info.Kind is not (StorageFileKind.Regular or StorageFileKind.BlockDevice))
            {
                throw WrongKind(info.Kind, path);
            }

            var file = new LinuxFile(handle, path, info);
            if (options.Lock is { } wanted)
            {
                file.Lock(wanted);
            }

            if (options.Mode == StorageOpenMode.CreateOrTruncate && info is { Kind: StorageFileKind.Regular, Length: > 0 })
            {
                file.SetLength(0);
            }

            return file;
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    internal override StorageFileInfo? GetInfo(string path)
    {
        if (Libc.Statx(Libc.CurrentDirectory, path, flags: 0, Libc.StatxBasic, out Libc.FileStatus status) != 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            return errno is Errno.NoEntry or Errno.NotDirectory ? null : throw Errno.Failure(errno, "Looking at the file", path);
        }

        if (status.Kind != StorageFileKind.BlockDevice)
        {
            return new StorageFileInfo(status.Identity, status.Kind, status.Size);
        }

        // The inode of a device node has no length; only the open device tells its capacity.
        using PlatformFile device = Open(path, new StorageOpenOptions());
        return device.Info;
    }

    internal override string GetRealPath(string path)
    {
        if (Resolve(path) is { } resolved)
        {
            return resolved;
        }

        string name = Path.GetFileName(path);
        return name is not ("" or "." or "..") && Resolve(DirectoryOf(path)) is { } directory
            ? Path.Combine(directory, name)
            : throw Errno.Failure(Errno.NoEntry, "Resolving the path", path);
    }

    internal override void Rename(string path, string newPath)
    {
        if (Libc.Rename(path, newPath) != 0)
        {
            throw Errno.Failure(Marshal.GetLastPInvokeError(), $"Rename to {newPath}", path);
        }
    }

    internal override void Delete(string path)
    {
        if (Libc.Unlink(path) != 0)
        {
            throw Errno.Failure(Marshal.GetLastPInvokeError(), "Delete", path);
        }
    }

    internal override void FlushDirectory(string path)
    {
        using PlatformFile opened = Open(DirectoryOf(path), new StorageOpenOptions { RegularOnly = false });
        ((LinuxFile)opened).FlushWithMetadata();
    }

    private static string DirectoryOf(string path)
        => Path.GetDirectoryName(path) is { Length: > 0 } directory ? directory : Path.IsPathRooted(path) ? "/" : ".";

    /// <summary>The path without links, absolute; null if something on it does not exist.</summary>
    private static unsafe string? Resolve(string path)
    {
        byte* resolved = Libc.RealPath(path, null);
        if (resolved is null)
        {
            int errno = Marshal.GetLastPInvokeError();
            return errno == Errno.NoEntry ? null : throw Errno.Failure(errno, "Resolving the path", path);
        }

        try
        {
            return Marshal.PtrToStringUTF8((nint)resolved)!;
        }
        finally
        {
            Libc.Free(resolved);
        }
    }

    private static StorageFileInfo Describe(SafeFileHandle handle, string path)
    {
        if (Libc.Statx(handle, string.Empty, Libc.EmptyPath, Libc.StatxBasic, out Libc.FileStatus status) != 0)
        {
            throw Errno.Failure(Marshal.GetLastPInvokeError(), "Looking at the open file", path);
        }

        long length = status.Kind == StorageFileKind.BlockDevice ? Libc.Seek(handle, 0, Libc.SeekEnd) : status.Size;
        return length >= 0
            ? new StorageFileInfo(status.Identity, status.Kind, length)
            : throw Errno.Failure(Marshal.GetLastPInvokeError(), "Asking the device for its length", path);
    }

    private static BlockLayerException WrongKind(StorageFileKind kind, string path)
    {
        string words = kind == StorageFileKind.Directory ? "a directory" : "a pipe, socket or character device";
        return new BlockLayerException(BlockErrorKind.Denied, $"The file is {words}; allowed are regular files and block devices.") { Path = path };
    }

    private static bool LibraryIsRecent()
        => NativeLibrary.TryLoad("libc", typeof(Libc).Assembly, searchPath: null, out nint library)
            && NativeLibrary.TryGetExport(library, "preadv2", out _)
            && NativeLibrary.TryGetExport(library, "statx", out _);
}
