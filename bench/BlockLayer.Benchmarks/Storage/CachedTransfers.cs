using BenchmarkDotNet.Attributes;
using BlockLayer.Storage;
using Microsoft.Win32.SafeHandles;

namespace BlockLayer.Benchmarks.Storage;

/// <summary>What does a transfer of the page cache cost through local storage, beside the framework's own call on the same file?</summary>
[MemoryDiagnoser]
public class CachedTransfers
{
    private const int FileSize = 64 << 20;

    private string _path = string.Empty;
    private BlockStorage _file = null!;
    private SafeFileHandle _handle = null!;
    private byte[] _buffer = null!;
    private long _next;

    [Params(4096, 65536)]
    public int Size { get; set; }

    /// <summary>Where the file is: the disk, or memory.</summary>
    [Params("/var/tmp", "/dev/shm")]
    public string Folder { get; set; } = string.Empty;

    [GlobalSetup]
    public void Create()
    {
        _path = Path.Combine(Folder, "blocklayer-" + Path.GetRandomFileName());
        _buffer = new byte[Size];
        var options = new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateNew };
        _file = LocalStorageProvider.Instance.OpenAsync(_path, options, CancellationToken.None).AsTask().GetAwaiter().GetResult();
        _file.WriteAsync(0, new byte[FileSize], CancellationToken.None).AsTask().GetAwaiter().GetResult();
        _handle = File.OpenHandle(_path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
    }

    [GlobalCleanup]
    public void Remove()
    {
        _handle.Dispose();
        _file.DisposeAsync().AsTask().GetAwaiter().GetResult();
        File.Delete(_path);
    }

    [Benchmark(Baseline = true)]
    public void FrameworkRead() => RandomAccess.Read(_handle, _buffer, NextOffset());

    [Benchmark]
    public bool StorageRead() => _file.ReadAsync(NextOffset(), _buffer, CancellationToken.None).IsCompletedSuccessfully;

    [Benchmark]
    public void FrameworkWrite() => RandomAccess.Write(_handle, _buffer, NextOffset());

    [Benchmark]
    public bool StorageWrite() => _file.WriteAsync(NextOffset(), _buffer, CancellationToken.None).IsCompletedSuccessfully;

    // A full-period step through the file's blocks: no locality, no random generator in the measurement.
    private long NextOffset()
    {
        _next = (_next + (7919L * Size)) % FileSize;
        return _next;
    }
}
