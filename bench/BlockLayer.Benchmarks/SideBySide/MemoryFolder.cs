namespace BlockLayer.Benchmarks.SideBySide;

/// <summary>An empty folder in memory, or on disk where the system has no tmpfs at /dev/shm; deleted with everything in it.</summary>
internal sealed class MemoryFolder : IDisposable
{
    internal MemoryFolder(Setting setting)
    {
        string root = Directory.Exists("/dev/shm") ? "/dev/shm" : setting.Directory;
        Path = Directory.CreateDirectory(System.IO.Path.Combine(root, $"{System.IO.Path.GetFileName(setting.Directory)}-memory")).FullName;
    }

    internal string Path { get; }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
