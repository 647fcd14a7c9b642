using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Simulation.Tests.Interleavings;

/// <summary>
/// A job makes the image in the middle writable, fills and overwrites it, and puts it back, again and again, while guests use the top and somebody else tries to
/// open the image, in orders that a seed decides.
/// </summary>
public class ReopenInterleavings
{
    private const int Step = 64 * 1024;

    private static readonly GuestProfile s_guest = new() { MaxLength = 8 * 1024 };

    public static TheoryData<string> Kinds => [.. ReopenWorld.Kinds];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Guests_notice_nothing_and_nobody_gets_in_between(string kind)
        => Seeds.Check($"{nameof(ReopenInterleavings)}.{nameof(Guests_notice_nothing_and_nobody_gets_in_between)}", 15, seed => Run(seed, kind));

    private static void Run(ulong seed, string kind)
    {
        var scheduler = new SimulationScheduler(seed);
        var storage = new SimulatedStorageProvider(scheduler, new SimulatedStorageOptions { Seed = seed });
        using var world = new ReopenWorld(SimulatedEnvironment.Of(scheduler, storage), kind);
        scheduler.Run(async () =>
        {
            byte[] content = await world.CreateAsync();
            var oracle = new SectorOracle(content.Length, content);
            await using (BlockNode top = await world.OpenAsync())
            {
                bool isOver = false;
                Task intruder = IntrudeAsync(world, top.Backing!, scheduler, () => isOver);
                await Task.WhenAll(
                    new OracleGuest(top, oracle).RunAsync(scheduler.CreateRandom(1), 30, s_guest),
                    new OracleGuest(top, oracle).RunAsync(scheduler.CreateRandom(2), 30, s_guest),
                    WorkAsync(top, content, scheduler));
                isOver = true;
                await intruder;
            }

            await using BlockNode again = await world.OpenAsync(NodeAccess.ReadOnly);
            oracle.Check(await OracleGuest.ReadAllAsync(again));
            if (ImageChecker.CanCheck(again.Backing!))
            {
                ImageCheckReport report = await ImageChecker.CheckAsync(again.Backing!);
                Assert.True(report is { Corruptions: 0, Leaks: 0 }, string.Join(' ', report.Findings));
            }
        });
    }

    // What guests may overwrite in the top is below what they see; what they may read through is only copied up.
    private static async Task WorkAsync(BlockNode top, byte[] content, SimulationScheduler scheduler)
    {
        SeededRandom random = scheduler.CreateRandom(3);
        BlockNode middle = top.Backing!;
        for (int round = 0; round < 3; round++)
        {
            WritingJob job = await StartWhenAloneAsync(middle, scheduler);
            for (int step = 0; step < 4; step++)
            {
                int offset = Step * random.Next(ReopenWorld.MiddleLength / Step);
                if (middle.Limits.SupportsPopulate)
                {
                    byte[] below = new byte[Step];
                    if (middle.BackingEdge is { } backing)
                    {
                        await backing.ReadPaddedAsync(offset, below, CancellationToken.None);
                    }

                    await job.Way.PopulateAsync(offset, below, CancellationToken.None);
                }

                int run = 512 * (1 + random.Next(64));
                int at = 512 * random.Next((ReopenWorld.MiddleLength - run) / 512);
                await job.Way.WriteAsync(at, await OwnViewAsync(middle, at, run), CancellationToken.None);
                await Task.Delay(TimeSpan.FromMilliseconds(random.Next(3000)), scheduler.Time); // QED clears NEED_CHECK after five idle seconds
            }

            await job.EndAsync();
            await Task.Delay(TimeSpan.FromMilliseconds(random.Next(3000)), scheduler.Time);
        }
    }

    // Writing what is there already changes tables and nothing that guests see.
    private static async Task<byte[]> OwnViewAsync(BlockNode image, int offset, int length)
    {
        byte[] bytes = new byte[length];
        await image.ReadAsync(Origin.Edge, offset, bytes, ReadFlags.None, CancellationToken.None);
        return bytes;
    }

    private static async Task<WritingJob> StartWhenAloneAsync(BlockNode image, SimulationScheduler scheduler)
    {
        while (true)
        {
            try
            {
                return await WritingJob.StartAsync(image);
            }
            catch (BlockLayerException refused) when (refused.Kind == BlockErrorKind.Conflict)
            {
                Assert.True(image.IsReadOnly);
                await Task.Delay(TimeSpan.FromMilliseconds(100), scheduler.Time);
            }
        }
    }

    // Whoever opens a file of the image to write is always refused. Whoever opens one to read is refused while it is written, or keeps it read-only while he is in.
    private static async Task IntrudeAsync(ReopenWorld world, BlockNode middle, SimulationScheduler scheduler, Func<bool> isOver)
    {
        SeededRandom random = scheduler.CreateRandom(4);
        while (!isOver())
        {
            string file = random.Chance(0.5) && world.MiddleData is { } data ? data : world.Middle;
            Assert.Null(await TryOpenAsync(world, file, ImageLock.Writer));
            await using (BlockStorage? reader = await TryOpenAsync(world, file, ImageLock.Reader))
            {
                for (int look = 0; look < 4; look++)
                {
                    Assert.True(middle.IsReadOnly || reader is null, "it is written and somebody else reads it");
                    await Task.Delay(TimeSpan.FromMilliseconds(random.Next(100)), scheduler.Time);
                }
            }

            await Task.Delay(TimeSpan.FromMilliseconds(random.Next(1000)), scheduler.Time);
        }
    }

    private static async Task<BlockStorage?> TryOpenAsync(ReopenWorld world, string file, ImageLock imageLock)
    {
        try
        {
            var how = new StorageOpenOptions { Writable = imageLock == ImageLock.Writer, Lock = imageLock };
            return await world.Environment.Files.OpenAsync(file, how, CancellationToken.None);
        }
        catch (BlockLayerException refused) when (refused.Kind == BlockErrorKind.Conflict)
        {
            return null;
        }
    }
}
