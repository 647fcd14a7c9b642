using BlockLayer.Storage;

namespace BlockLayer.TestKit.Contracts;

/// <summary>
/// Where a contract suite finds the storage it examines. A subclass names a provider and a folder of it that is empty and the test's own; a simulated
/// machine also overrides <see cref="RunAsync"/> to turn its crank.
/// </summary>
public abstract class StorageFixture
{
    /// <summary>The provider under examination; one for the whole test.</summary>
    protected abstract StorageProvider Provider { get; }

    /// <summary>The path of a file in the test's own folder.</summary>
    protected abstract string PathOf(string name);

    /// <summary>Runs the body of a test to its end.</summary>
    protected virtual Task RunAsync(Func<Task> body) => body();

    /// <summary>Opens a new, empty, writable file.</summary>
    protected ValueTask<BlockStorage> CreateAsync(string name = "file")
        => Provider.OpenAsync(PathOf(name), new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateNew }, CancellationToken.None);

    /// <summary>Opens a file that exists.</summary>
    protected ValueTask<BlockStorage> OpenAsync(string name = "file", bool writable = false, ImageLock? imageLock = null)
        => Provider.OpenAsync(PathOf(name), new StorageOpenOptions { Writable = writable, Lock = imageLock }, CancellationToken.None);

    /// <summary>Reads a range into an array that held something else.</summary>
    protected static async Task<byte[]> ReadAsync(BlockStorage file, long offset, int length)
    {
        byte[] buffer = new byte[length];
        Array.Fill(buffer, (byte)0xcc);
        await file.ReadAsync(offset, buffer, CancellationToken.None);
        return buffer;
    }

    /// <summary>Bytes to store, none of them zero; other ones for another seed.</summary>
    protected static byte[] Bytes(int length, int seed = 1) => Pattern.Of(0, length, seed);
}
