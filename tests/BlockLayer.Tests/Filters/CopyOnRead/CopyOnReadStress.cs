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
    private const int Unit = 65536;
    private const int Length = 24 * Unit;
    private const int BaseWriter = 1;

    [Theory]
    [InlineData("cancel")]
    [InlineData("wait")]
    public async Task Guests_on_six_threads_and_copiers_on_two_agree_on_every_byte(string strategy)
    {
        var environment = new BlockEnvironment
        {
            Files = new MemoryStorageProvider(),
            Work = ThreadPoolWorkScheduler.Instance,
            Time = TimeProvider.System,
            Buffers = new BufferPool(),
        };
        var basis = new MemoryOverlayNode("base", Length, Unit, environment) { Steps = new HoppingSteps() };
        basis.Fill(0, SectorStamp.Of(0, Length, BaseWriter));
        var image = new MemoryOverlayNode("image", Length, 16384, environment, basis) { Steps = new HoppingSteps() };
        var options = new CopyOnReadOptions { Strategy = CopyStrategy.All.Single(known => known.Name == strategy), MemoryLimit = 6 * Unit };
        await using CopyOnReadNode filter = CopyOnReadNode.Create(image, bottom: null, options);
        var guests = new StressGuests(filter, BaseWriter);

        await Task.WhenAll(guests.RunAsync(threads: 6, requests: 400), CopyAsync(filter, first: 0, step: 1), CopyAsync(filter, first: 23, step: -1));

        using (await DrainScope.BeginAsync(filter))
        {
            Assert.True(filter.Queue.IsIdle);
            Assert.Equal(0, filter.Queue.Memory.Reserved);
            Assert.Equal(0, environment.Buffers.Outstanding);
        }

        await guests.CheckAsync(new ByteRange(0, Length));
        await CopyAsync(filter, first: 0, step: 1);
        Assert.Empty(await CopyPlan.MakeAsync(image, bottom: null, new ByteRange(0, Length), CancellationToken.None));
    }

    // Copies unit after unit, round after round: parts that guests are writing are left for the next round.
    private static Task CopyAsync(CopyOnReadNode filter, int first, int step) => Task.Run(async () =>
    {
        for (int round = 0; round < 20; round++)
        {
            for (int unit = first; unit is >= 0 and < Length / Unit; unit += step)
            {
                CopyOutcome outcome = await filter.CopyUpAsync(Origin.Door, new ByteRange(unit * (long)Unit, Unit), Unit, CancellationToken.None);
                Assert.Null(outcome.Error);
            }
        }
    });

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
