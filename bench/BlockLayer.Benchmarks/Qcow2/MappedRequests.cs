using BenchmarkDotNet.Attributes;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Storage;

namespace BlockLayer.Benchmarks.Qcow2;

/// <summary>
/// What does qcow2 add to a 4 KiB request whose cluster is allocated, beside the same request to a raw disk? Files are in memory, so the tables, the admission and
/// the lock are what is left. The first overwrite of a cluster looks its refcount up; later ones do not.
/// </summary>
[MemoryDiagnoser]
public class MappedRequests
{
    private const int RequestSize = 4096;
    private const long DiskSize = 256 << 20;

    private readonly byte[] _buffer = new byte[RequestSize];
    private BlockNode _disk = null!;
    private long _next;

    [Params("raw", "qcow2", "qcow2 extended_l2")]
    public string Format { get; set; } = string.Empty;

    [GlobalSetup]
    public void Create()
    {
        var environment = new BlockEnvironment { Files = new MemoryStorageProvider(), Work = InlineWorkScheduler.Instance, Time = TimeProvider.System };
        _disk = CreateAsync(environment).AsTask().GetAwaiter().GetResult();
    }

    [GlobalCleanup]
    public void Remove() => _disk.DisposeAsync().AsTask().GetAwaiter().GetResult();

    [Benchmark]
    public bool Read() => _disk.ReadAsync(NextOffset(), _buffer).IsCompletedSuccessfully;

    [Benchmark]
    public bool Overwrite() => _disk.WriteAsync(NextOffset(), _buffer).IsCompletedSuccessfully;

    /// <summary>Gives a cluster away, makes that durable, and writes to it again: an allocation, its publication, and the way through the quarantine.</summary>
    [Benchmark]
    public async Task DiscardFlushAllocate()
    {
        long offset = NextOffset() & -65536;
        await _disk.DiscardAsync(offset, 65536);
        await _disk.FlushAsync();
        await _disk.WriteAsync(offset, _buffer);
    }

    private async ValueTask<BlockNode> CreateAsync(BlockEnvironment environment)
    {
        string[] words = Format.Split(' ');
        var image = new NewImage { Format = words[0], Length = DiskSize, Options = words.Skip(1).ToDictionary(static option => option, static _ => "on") };
        await new ImageCreator(BuiltInFormats.All, environment).CreateAsync("disk", image, OpenPolicy.Default);
        BlockNode disk = await new ImageOpener(BuiltInFormats.All, environment)
            .OpenAsync("disk", new ImageOpenOptions { Format = words[0], Access = NodeAccess.ReadWrite });
        byte[] megabyte = new byte[1 << 20];
        for (long at = 0; at < DiskSize; at += megabyte.Length)
        {
            await disk.WriteAsync(at, megabyte);
        }

        await disk.FlushAsync();
        return disk;
    }

    // A full-period step through the disk's blocks: no locality, no random generator in the measurement.
    private long NextOffset()
    {
        _next = (_next + (7919L * RequestSize)) % DiskSize;
        return _next;
    }
}
