using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Requests;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Filters;

/// <summary>The same promises on real threads: what one thread cannot show, memory races, shows here if anywhere.</summary>
public class CopyOnReadStress
{
    private const int Threads = 6;
    private const int Requests = 400;
    private const int Length = 24 * 65536;

    [Theory]
    [InlineData("cancel")]
    [InlineData("wait")]
    public async Task Guests_on_six_threads_see_what_was_written(string strategy)
    {
        var environment = new BlockEnvironment
        {
            Files = new MemoryStorageProvider(),
            Work = ThreadPoolWorkScheduler.Instance,
            Time = TimeProvider.System,
            Buffers = new BufferPool(),
        };
        var basis = new MemoryOverlayNode("base", Length, 65536, environment) { Steps = new HoppingSteps() };
        basis.Fill(0, SectorStamp.Of(0, Length, 1));
        var image = new MemoryOverlayNode("image", Length, 16384, environment, basis) { Steps = new HoppingSteps() };
        var options = new CopyOnReadOptions { Strategy = CopyStrategy.All.Single(known => known.Name == strategy), MemoryLimit = 6 * 65536 };
        await using CopyOnReadNode filter = CopyOnReadNode.Create(image, bottom: null, options);
        var model = new SectorModel(Length, _ => 1);
        Lock gate = new();
        int writer = 10;

        Task[] guests = [.. Enumerable.Range(0, Threads).Select(thread => Task.Run(() => RunGuestAsync(new Random(thread))))];
        await Task.WhenAll(guests);

        using (await DrainScope.BeginAsync(filter))
        {
            Assert.True(filter.Queue.IsIdle);
            Assert.Equal(0, filter.Queue.Memory.Reserved);
            Assert.Equal(0, environment.Buffers.Outstanding);
        }

        byte[] all = new byte[Length];
        SectorModel.Read last = model.BeginRead(new ByteRange(0, Length));
        await filter.ReadAsync(0, all);
        last.Check(all);

        async Task RunGuestAsync(Random random)
        {
            for (int i = 0; i < Requests; i++)
            {
                int first = random.Next(Length / 512);
                int count = random.Next(1, Math.Min(96, (Length / 512) - first) + 1);
                var range = new ByteRange(first * 512L, count * 512L);
                switch (random.Next(8))
                {
                    case 0:
                        await ChangeAsync(range, SectorStamp.Zero, _ => filter.WriteZeroesAsync(range.Offset, range.Length));
                        break;
                    case 1:
                        await filter.CopyUpAsync(Origin.Door, range.RoundOut(65536).ClampTo(Length), range.RoundOut(65536).Length, CancellationToken.None);
                        break;
                    case < 5:
                        await ChangeAsync(range, Interlocked.Increment(ref writer), id => filter.WriteAsync(range.Offset, SectorStamp.Of(range.Offset, (int)range.Length, id)));
                        break;
                    default:
                        await ReadAsync(range);
                        break;
                }
            }
        }

        async Task ChangeAsync(ByteRange range, int id, Func<int, ValueTask> write)
        {
            SectorModel.Change change;
            lock (gate)
            {
                change = model.Begin(range, id);
            }

            await write(id);
            lock (gate)
            {
                model.Succeed(change);
            }
        }

        async Task ReadAsync(ByteRange range)
        {
            byte[] found = new byte[range.Length];
            SectorModel.Read read;
            lock (gate)
            {
                read = model.BeginRead(range);
            }

            await filter.ReadAsync(range.Offset, found);
            lock (gate)
            {
                read.Check(found);
            }
        }
    }

    /// <summary>Every few steps the request goes on on another thread.</summary>
    private sealed class HoppingSteps : OverlaySteps
    {
        private int _count;

        internal override async ValueTask AtAsync(MemoryOverlayNode node, OverlayStep step, ByteRange range)
        {
            if (Interlocked.Increment(ref _count) % 3 == 0)
            {
                await Task.Yield();
            }
        }
    }
}
