using BlockLayer.Interop.Tests.Pull;
using BlockLayer.TestKit;

namespace BlockLayer.Interop.Tests.Jobs;

/// <summary>The folder of one side, with copies of the images; also one on a file system that is nearly full.</summary>
internal sealed class JobFolder : IDisposable
{
    private const int FileSystemMegabytes = 32;

    private readonly IDisposable _owner;

    private JobFolder(string path, IDisposable owner) => (Path, _owner) = (path, owner);

    internal string Path { get; }

    private string Ballast => System.IO.Path.Combine(Path, "ballast");

    /// <summary>A folder with room.</summary>
    internal static JobFolder Roomy(JobImages images)
    {
        var folder = new TemporaryFolder();
        images.CopyTo(folder.Path);
        return new JobFolder(folder.Path, folder);
    }

    /// <summary>A folder with little room. The test is skipped where none can be mounted.</summary>
    internal static JobFolder NearlyFull(JobImages images, int freeBytes)
    {
        var system = new TemporaryFileSystem(FileSystemMegabytes);
        images.CopyTo(system.Path);
        var folder = new JobFolder(system.Path, system);
        long room = new DriveInfo(system.Path).AvailableFreeSpace - freeBytes;
        File.WriteAllBytes(folder.Ballast, new byte[room]);
        return folder;
    }

    /// <summary>Makes room.</summary>
    internal void MakeRoom() => File.Delete(Ballast);

    public void Dispose() => _owner.Dispose();
}
