using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.TestKit.Graph;

/// <summary>Guests on real threads that read, write, zero and flush one disk at the same time, and check every answer against one model of it.</summary>
internal sealed class StressGuests
{
    private const int FirstWriter = 10;

    private readonly BlockNode _disk;
    private readonly SectorModel _model; // guarded by _gate
    private readonly Lock _gate = new();
    private int _lastWriter = FirstWriter; // interlocked

    /// <summary>Guests of a disk whose sectors all hold <paramref name="writer"/>'s bytes.</summary>
    internal StressGuests(BlockNode disk, int writer)
    {
        _disk = disk;
        _model = new SectorModel(disk.Length, _ => writer);
    }

    /// <summary>Sends <paramref name="requests"/> random requests from each of <paramref name="threads"/> threads.</summary>
    internal Task RunAsync(int threads, int requests)
        => Task.WhenAll(Enumerable.Range(0, threads).Select(thread => Task.Run(() => RunGuestAsync(new Random(thread), requests))));

    /// <summary>Reads a range and checks it.</summary>
    internal async Task CheckAsync(ByteRange range)
    {
        byte[] found = new byte[range.Length];
        SectorModel.Read read;
        lock (_gate)
        {
            read = _model.BeginRead(range);
        }

        await _disk.ReadAsync(range.Offset, found);
        lock (_gate)
        {
            read.Check(found);
        }
    }

    private async Task RunGuestAsync(Random random, int requests)
    {
        int sectors = (int)(_disk.Length / SectorStamp.Size);
        for (int i = 0; i < requests; i++)
        {
            int first = random.Next(sectors);
            int count = random.Next(1, Math.Min(200, sectors - first) + 1);
            var range = new ByteRange(first * (long)SectorStamp.Size, count * (long)SectorStamp.Size);
            switch (random.Next(8))
            {
                case 0:
                    await ChangeAsync(range, SectorStamp.Zero, () => _disk.WriteZeroesAsync(range.Offset, range.Length));
                    break;
                case 1:
                    await _disk.FlushAsync();
                    break;
                case < 5:
                    int writer = Interlocked.Increment(ref _lastWriter);
                    await ChangeAsync(range, writer, () => _disk.WriteAsync(range.Offset, SectorStamp.Of(range.Offset, (int)range.Length, writer)));
                    break;
                default:
                    await CheckAsync(range);
                    break;
            }
        }
    }

    private async Task ChangeAsync(ByteRange range, int writer, Func<ValueTask> write)
    {
        SectorModel.Change change;
        lock (_gate)
        {
            change = _model.Begin(range, writer);
        }

        await write();
        lock (_gate)
        {
            _model.Succeed(change);
        }
    }
}
