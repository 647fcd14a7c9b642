using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Contracts;
using Xunit;

namespace BlockLayer.Tests.Storage;

/// <summary>The ways a local file can be served here: which calls, on which file system.</summary>
internal static class LocalFlavours
{
    internal const string MemoryFileSystem = "/dev/shm";

    internal static LocalStorageProvider Linux()
    {
        Assert.SkipUnless(LinuxPlatform.IsSupported, "needs 64-bit Linux with preadv2 and statx");
        return new LocalStorageProvider(new LinuxPlatform());
    }

    internal static LocalStorageProvider Managed() => new(new ManagedPlatform());

    internal static TemporaryFolder FolderInMemory()
    {
        Assert.SkipUnless(Directory.Exists(MemoryFileSystem), "needs a tmpfs at /dev/shm");
        return new TemporaryFolder(MemoryFileSystem);
    }
}

public sealed class LinuxFileContract : StorageContract, IDisposable
{
    private readonly TemporaryFolder _folder = new();

    protected override StorageProvider Provider { get; } = LocalFlavours.Linux();

    protected override string PathOf(string name) => _folder.File(name);

    public void Dispose() => _folder.Dispose();
}

public sealed class LinuxMemoryFileSystemContract : StorageContract, IDisposable
{
    private readonly TemporaryFolder _folder = LocalFlavours.FolderInMemory();

    protected override StorageProvider Provider { get; } = LocalFlavours.Linux();

    protected override string PathOf(string name) => _folder.File(name);

    public void Dispose() => _folder.Dispose();
}

public sealed class ManagedFileContract : StorageContract, IDisposable
{
    private readonly TemporaryFolder _folder = new();

    protected override StorageProvider Provider { get; } = LocalFlavours.Managed();

    protected override string PathOf(string name) => _folder.File(name);

    public void Dispose() => _folder.Dispose();
}

public sealed class LinuxProviderContract : StorageProviderContract, IDisposable
{
    private readonly TemporaryFolder _folder = new();

    protected override StorageProvider Provider { get; } = LocalFlavours.Linux();

    protected override string PathOf(string name) => _folder.File(name);

    public void Dispose() => _folder.Dispose();
}

public sealed class ManagedProviderContract : StorageProviderContract, IDisposable
{
    private readonly TemporaryFolder _folder = new();

    protected override StorageProvider Provider { get; } = LocalFlavours.Managed();

    protected override string PathOf(string name) => _folder.File(name);

    public void Dispose() => _folder.Dispose();
}
