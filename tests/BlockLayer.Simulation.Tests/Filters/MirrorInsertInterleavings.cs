using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Simulation.Tests.Filters;

/// <summary>Mirrors come and go under guests that work on, in orders that a seed decides: the copy is what the disk was at the moment the mirror left.</summary>
public class MirrorInsertInterleavings
{
    private const int Length = 64 * 1024;
    private const int GuestCount = 3;

    [Fact]
    public void The_copy_is_the_disk_as_it_was_when_the_mirror_left()
        => SimulationSearch.Run(Effort.Times(25), Run);

    private static void Run(SimulationScheduler scheduler)
    {
        SeededRandom random = scheduler.CreateRandom(1);
        var storage = new SimulatedStorageProvider(scheduler);
        byte[] initial = GuestStamp.Create(0, Length, writer: 1 << 30);
        storage.AddFile("/vm/disk", initial);
        storage.AddFile("/vm/copy", new byte[Length]);
        BlockEnvironment environment = SimulatedEnvironment.Of(scheduler, storage);
        var options = new DiskOptions { Format = "raw", Environment = environment };
        scheduler.Run(async () =>
        {
            await using Disk disk = await Disk.OpenAsync("/vm/disk", options);
            var oracle = new SectorOracle(Length, initial);
            Task[] guests = [.. Enumerable.Range(0, GuestCount).Select(
                guest => new OracleGuest(disk.Root, oracle).RunAsync(scheduler.CreateRandom(10 + (ulong)guest), requests: 12, new GuestProfile { MaxLength = 8192 }))];
            for (int wait = random.Next(20); wait > 0; wait--)
            {
                await scheduler.StepAsync();
            }

            var how = new MirrorOptions { Ack = (MirrorAck)random.Next(2), Reads = (MirrorReads)random.Next(3), RegionSize = 4096 };
            MirrorNode mirror = await disk.AddMirrorAsync("/vm/copy", how, options);
            for (int wait = random.Next(30); wait > 0; wait--)
            {
                await scheduler.StepAsync();
            }

            using (await DrainScope.BeginAsync(disk.Root))
            {
                await mirror.RemoveAsync(); // its own drain lies within this one
                byte[] copy = storage.ReadFile("/vm/copy");
                Assert.Equal(Length, copy.AsSpan().CommonPrefixLength(storage.ReadFile("/vm/disk")));
                oracle.Check(copy);
            }

            await Task.WhenAll(guests);
        });
    }
}
