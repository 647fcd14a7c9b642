using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using BlockLayer.Errors;
using Microsoft.Win32.SafeHandles;

namespace BlockLayer.Storage;

/// <summary>
/// Local files through the framework's own API, for systems without an implementation of their own. What the framework cannot tell or do is said at
/// each member.
/// </summary>
internal sealed class ManagedPlatform : Platform
{
    internal override PlatformFile Open(string path, StorageOpenOptions options)
    {
        FileMode mode = options.Mode switch
        {
            StorageOpenMode.CreateNew => FileMode.CreateNew,
            StorageOpenMode.CreateOrTruncate => FileMode.OpenOrCreate,
            _ => FileMode.Open,
        };
        if (options.RegularOnly && Directory.Exists(path))
        {
            throw NotRegular("a directory", path);
        }

        try
        {
            // Sharing everything keeps the framework from locking the whole file, which would shut out the programs the image locks let in.
            SafeFileHandle handle = File.OpenHandle(
                path, mode, options.Writable ? FileAccess.ReadWrite : FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, FileOptions.RandomAccess);
            try
            {
                var file = new ManagedFile(handle, path, new StorageFileInfo(IdentityOf(path), StorageFileKind.Regular, LengthOf(handle, path)));
                if (options.Lock is { } wanted)
                {
                    file.Lock(wanted);
                }

                if (options.Mode == StorageOpenMode.CreateOrTruncate && file.Info.Length > 0)
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
        catch (Exception error) when (ManagedErrors.IsOfTheSystem(error))
        {
            throw ManagedErrors.Failure(error, "Open", path);
        }
    }

    internal override StorageFileInfo? GetInfo(string path)
    {
        if (Directory.Exists(path))
        {
            return new StorageFileInfo(IdentityOf(path), StorageFileKind.Directory, 0);
        }

        if (!File.Exists(path))
        {
            return null;
        }

        // The length of a link would be the link's own.
        return new StorageFileInfo(IdentityOf(path), StorageFileKind.Regular, new FileInfo(GetRealPath(path)).Length);
    }

    internal override string GetRealPath(string path)
    {
        string full = Path.Combine(Environment.CurrentDirectory, path);
        string current = Path.GetPathRoot(full)!;
        string[] parts = full[current.Length..].Split(
            [Path.DirectorySeparatorChar, Path.AltDirectorySeparatorChar], StringSplitOptions.RemoveEmptyEntries);
        for (int i = 0; i < parts.Length; i++)
        {
            if (parts[i] == ".")
            {
                continue;
            }

            if (parts[i] == "..")
            {
                current = Path.GetDirectoryName(current) ?? current;
                continue;
            }

            current = Path.Combine(current, parts[i]);
            bool isLast = i == parts.Length - 1;
            if (!isLast && !Directory.Exists(current))
            {
                throw new BlockLayerException(BlockErrorKind.NotFound, "Resolving the path failed: a directory on the way does not exist.") { Path = path };
            }

            var file = new FileInfo(current);
            if (file.LinkTarget is not null)
            {
                current = GetRealPath(file.ResolveLinkTarget(returnFinalTarget: true)!.FullName);
            }
        }

        return current;
    }

    internal override void Rename(string path, string newPath)
    {
        try
        {
            File.Move(path, newPath, overwrite: true);
        }
        catch (Exception error) when (ManagedErrors.IsOfTheSystem(error))
        {
            throw ManagedErrors.Failure(error, $"Rename to {newPath}", path);
        }
    }

    internal override void Delete(string path)
    {
        if (!File.Exists(path))
        {
            throw new BlockLayerException(BlockErrorKind.NotFound, "Delete failed: the file does not exist.") { Path = path };
        }

        try
        {
            File.Delete(path);
        }
        catch (Exception error) when (ManagedErrors.IsOfTheSystem(error))
        {
            throw ManagedErrors.Failure(error, "Delete", path);
        }
    }

    /// <summary>The framework cannot open a directory: names are as durable as the file system makes them by itself (NTFS journals them).</summary>
    internal override void FlushDirectory(string path)
    {
        string directory = Path.GetDirectoryName(Path.GetFullPath(path)) ?? path;
        if (!Directory.Exists(directory))
        {
            throw new BlockLayerException(BlockErrorKind.NotFound, "Flush of the directory failed: it does not exist.") { Path = path };
        }
    }

    /// <summary>The framework has no file numbers; the resolved path stands for one. Two hard links to one file are not recognised as one file.</summary>
    private StorageIdentity IdentityOf(string path)
    {
        string name = GetRealPath(path);
        if (OperatingSystem.IsWindows() || OperatingSystem.IsMacOS())
        {
            name = name.ToUpperInvariant();
        }

        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(Encoding.UTF8.GetBytes(name), hash);
        return new StorageIdentity(BinaryPrimitives.ReadUInt64LittleEndian(hash), BinaryPrimitives.ReadUInt64LittleEndian(hash[8..]));
    }

    private static long LengthOf(SafeFileHandle handle, string path)
    {
        try
        {
            return RandomAccess.GetLength(handle);
        }
        catch (NotSupportedException)
        {
            throw NotRegular("a pipe, socket or character device", path);
        }
    }

    private static BlockLayerException NotRegular(string kind, string path)
        => new(BlockErrorKind.Denied, $"The file is {kind}; allowed are regular files and block devices.") { Path = path };
}
