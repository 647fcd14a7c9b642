using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Simulation.Tests.Filters;

/// <summary>Random guests on a mirror whose sides fail, in orders that a seed decides: every read is checked, and in the end both sides hold what the guests are owed.</summary>
public class MirrorInterleavings
{
    private const int Length = 64 * 1024;
    private const int GuestCount = 4;

    [Theory]
    [InlineData(MirrorErrorPolicy.Fail)]
    [InlineData(MirrorErrorPolicy.Detach)]
    [InlineData(MirrorErrorPolicy.Stop)]
    public void Guests_see_what_they_wrote_and_both_sides_end_equal(MirrorErrorPolicy policy)
        => SimulationSearch.Run(Effort.Times(40), scheduler => Run(scheduler, policy));

    private static void Run(SimulationScheduler scheduler, MirrorErrorPolicy policy)
    {
        SeededRandom random = scheduler.CreateRandom(1);
        BlockEnvironment environment = TestEnvironment.Of(scheduler);
        var steps = new FailingSides(scheduler, random, random.Next(3));
        var source = new MemoryOverlayNode("source", Length, 512 << random.Next(4), environment) { Steps = steps };
        var destination = new MemoryOverlayNode("destination", Length, 512 << random.Next(4), environment) { Steps = steps };
        var options = new MirrorOptions
        {
            Reads = (MirrorReads)random.Next(3),
            Ack = (MirrorAck)random.Next(2),
            Flush = (MirrorFlush)random.Next(2),
            OnDestinationError = policy,
            Sync = MirrorSync.AssumeEqual,
            RegionSize = 4096,
        };
        scheduler.Run(async () =>
        {
            await using MirrorNode mirror = await MirrorNode.OpenAsync(source, destination, options: options);
            source.AddReference();
            destination.AddReference();
            var oracle = new SectorOracle(Length);
            var guests = Enumerable.Range(0, GuestCount).Select(guest => GuestAsync(mirror, oracle, scheduler.CreateRandom(10 + (ulong)guest), steps)).ToList();
            guests.Add(RepairNowAndThenAsync(mirror, scheduler, steps));
            await Task.WhenAll(guests);

            steps.Odds = 0;
            if (mirror.Status.State != MirrorState.Stopped)
            {
                await mirror.RepairAsync();
                await TellLateFailureAsync(mirror, steps);
                await mirror.FlushAsync();
                Assert.Equal(0, mirror.Status.DifferingBytes);
            }

            bool whole = mirror.Status.State != MirrorState.Stopped;
            oracle.Check(await OracleGuest.ReadAllAsync(mirror));
            await mirror.DisposeAsync();
            byte[] found = await OracleGuest.ReadAllAsync(source);
            oracle.Check(found);
            byte[] mirrored = await OracleGuest.ReadAllAsync(destination);
            Assert.True(!whole || found.AsSpan().SequenceEqual(mirrored), $"the sides differ at byte {found.AsSpan().CommonPrefixLength(mirrored)}");

            Assert.Equal(0, environment.Buffers.Outstanding);
            await source.DisposeAsync();
            await destination.DisposeAsync();
        });
    }

    private static async Task GuestAsync(MirrorNode mirror, SectorOracle oracle, SeededRandom random, FailingSides steps)
    {
        var guest = new OracleGuest(mirror, oracle);
        for (int i = 0; i < 10; i++)
        {
            try
            {
                await guest.RunAsync(random, requests: 1, new GuestProfile { MaxLength = 12 * 1024 });
            }
            catch (BlockLayerException error) when (error is not ContentMismatchException && error.Message.Contains(FailingSides.Message, StringComparison.Ordinal))
            {
                steps.Told++;
            }
        }
    }

    // What failed behind an acknowledged write is told by one flush.
    private static async Task TellLateFailureAsync(MirrorNode mirror, FailingSides steps)
    {
        try
        {
            await mirror.FlushAsync();
        }
        catch (BlockLayerException error) when (error.Message == FailingSides.Message)
        {
            steps.Told++;
        }
    }

    private static async Task RepairNowAndThenAsync(MirrorNode mirror, SimulationScheduler scheduler, FailingSides steps)
    {
        for (int i = 0; i < 3; i++)
        {
            for (int wait = 0; wait < 20; wait++)
            {
                await scheduler.StepAsync();
            }

            try
            {
                await mirror.RepairAsync();
            }
            catch (BlockLayerException error) when (error.Message.Contains(FailingSides.Message, StringComparison.Ordinal))
            {
                steps.Told++;
            }
        }
    }

    /// <summary>At every step of either side lets something else run, and fails one step in so many of the chosen side, or of both.</summary>
    private sealed class FailingSides(SimulationScheduler scheduler, SeededRandom random, int which) : OverlaySteps
    {
        internal const string Message = "A failure planned by the test.";

        internal int Odds { get; set; } = 40;

        internal int Told { get; set; }

        internal override async ValueTask AtAsync(MemoryOverlayNode node, OverlayStep step, Primitives.ByteRange range)
        {
            await scheduler.StepAsync();
            bool chosen = which == 2 || (which == 0) == (node.NodeName == "source");
            if (Odds > 0 && chosen && random.Next(Odds) == 0)
            {
                throw new BlockLayerException(BlockErrorKind.Io, Message);
            }
        }
    }
}
