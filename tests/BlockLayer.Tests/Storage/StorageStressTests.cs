using BlockLayer.Primitives;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Storage;

/// <summary>
/// Four real threads at one file. They overlap on purpose; when all have ended, every sector must hold what one of its last writers wrote.
/// </summary>
public sealed class StorageStressTests
{
    private const int FileLength = 256 * 1024;
    private const int Threads = 4;
    private const int RequestsPerThread = 400;

    private static readonly CancellationToken s_none = CancellationToken.None;

    public static TheoryData<string> Storages { get; } = ["linux", "linux in memory", "managed", "memory"];

    [Theory]
    [MemberData(nameof(Storages))]
    public void Sectors_end_as_one_of_their_last_writers_left_them(string storage)
        => Seeds.Check(nameof(Sectors_end_as_one_of_their_last_writers_left_them), 3, seed =>
        {
            using TemporaryFolder folder = storage == "linux in memory" ? LocalFlavours.FolderInMemory() : new TemporaryFolder();
            StorageProvider provider = storage switch
            {
                "memory" => new MemoryStorageProvider(),
                "managed" => LocalFlavours.Managed(),
                _ => LocalFlavours.Linux(),
            };
            RunAsync(provider, folder.File("file"), (int)seed).GetAwaiter().GetResult();
        });

    private static async Task RunAsync(StorageProvider provider, string path, int seed)
    {
        await using BlockStorage file = await provider.OpenAsync(path, new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateNew }, s_none);
        await file.SetLengthAsync(FileLength, s_none);
        var model = new SectorModel(FileLength, static _ => SectorStamp.Zero);

        Thread[] threads = [.. Enumerable.Range(0, Threads).Select(i => new Thread(() => Hammer(file, model, new Random((seed * Threads) + i), i)))];
        foreach (Thread thread in threads)
        {
            thread.Start();
        }

        foreach (Thread thread in threads)
        {
            thread.Join();
        }

        SectorModel.Read read = model.BeginRead(new ByteRange(0, FileLength));
        byte[] found = new byte[FileLength];
        await file.ReadAsync(0, found, s_none);
        read.Check(found);
    }

    /// <summary>Requests of one thread, one after the other. The model is told under a lock; the file is not protected by it.</summary>
    private static void Hammer(BlockStorage file, SectorModel model, Random random, int thread)
    {
        for (int i = 0; i < RequestsPerThread; i++)
        {
            int first = random.Next(FileLength / SectorStamp.Size);
            int count = 1 + random.Next(Math.Min(random.Next(10) == 0 ? 200 : 10, (FileLength / SectorStamp.Size) - first));
            var range = new ByteRange(first * (long)SectorStamp.Size, count * (long)SectorStamp.Size);
            int kind = random.Next(10);
            if (kind == 0)
            {
                file.FlushAsync(s_none).AsTask().GetAwaiter().GetResult();
                continue;
            }

            if (kind <= 2)
            {
                file.ReadAsync(range.Offset, new byte[range.Length], s_none).AsTask().GetAwaiter().GetResult();
                continue;
            }

            int writer = kind <= 4 ? SectorStamp.Zero : 1 + (i * Threads) + thread;
            SectorModel.Change change;
            lock (model)
            {
                change = model.Begin(range, writer);
            }

            ValueTask request = kind <= 4
                ? file.WriteZeroesAsync(range.Offset, range.Length, kind == 3 ? ZeroMode.MayUnmap : ZeroMode.KeepAllocated, s_none)
                : file.WriteAsync(range.Offset, SectorStamp.Of(range.Offset, (int)range.Length, writer), s_none);
            request.AsTask().GetAwaiter().GetResult();
            lock (model)
            {
                model.Succeed(change);
            }
        }
    }
}
