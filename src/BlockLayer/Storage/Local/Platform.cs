namespace BlockLayer.Storage;

/// <summary>The file system calls of an operating system that local storage needs. All block.</summary>
internal abstract class Platform
{
    /// <summary>The best implementation for the running system.</summary>
    internal static Platform Current { get; } = LinuxPlatform.IsSupported ? new LinuxPlatform() : new ManagedPlatform();

    /// <summary>Opens a file and takes its locks; a file that is replaced is emptied after that.</summary>
    internal abstract PlatformFile Open(string path, StorageOpenOptions options);

    /// <summary>As <see cref="StorageProvider.GetInfo"/>.</summary>
    internal abstract StorageFileInfo? GetInfo(string path);

    /// <summary>As <see cref="StorageProvider.GetRealPath"/>.</summary>
    internal abstract string GetRealPath(string path);

    /// <summary>As <see cref="StorageProvider.RenameAsync"/>.</summary>
    internal abstract void Rename(string path, string newPath);

    /// <summary>As <see cref="StorageProvider.DeleteAsync"/>.</summary>
    internal abstract void Delete(string path);

    /// <summary>As <see cref="StorageProvider.FlushDirectoryAsync"/>.</summary>
    internal abstract void FlushDirectory(string path);
}
