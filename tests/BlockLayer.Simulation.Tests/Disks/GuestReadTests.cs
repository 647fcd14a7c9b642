using BlockLayer.Storage;
using Xunit;

namespace BlockLayer.Simulation.Tests.Disks;

/// <summary>Guests that overlap on one disk, under many schedules: every read returns the last completed write or one in flight.</summary>
public class GuestReadTests
{
    private const int DiskLength = 16 * 512;

    [Fact]
    public void Reads_return_the_last_write_or_one_in_flight()
        => SimulationSearch.Run(50, scheduler => RunGuests(scheduler, new SimulatedStorageProvider(scheduler)));

    [Fact]
    public void A_write_that_was_lost_is_found()
        => Assert.Throws<SimulationSearchException>(() => SimulationSearch.Run(50, scheduler =>
        {
            var storage = new SimulatedStorageProvider(scheduler);
            storage.Faults.Add(new FaultRule { Operations = StorageOperations.Write, Skip = 10, Count = 1, Effect = FaultEffect.Lie });
            RunGuests(scheduler, storage);
        }));

    private static void RunGuests(SimulationScheduler scheduler, SimulatedStorageProvider storage)
    {
        storage.AddFile("/disk", new byte[DiskLength]);
        var oracle = new SectorOracle(DiskLength);
        for (int guest = 0; guest < 4; guest++)
        {
            SeededRandom random = scheduler.CreateRandom((ulong)guest);
            scheduler.Spawn($"guest {guest}", async () =>
            {
                await using BlockStorage disk = await storage.OpenAsync("/disk", new StorageOpenOptions { Writable = true }, CancellationToken.None);
                for (int i = 0; i < 30; i++)
                {
                    byte[] data = new byte[512 * (1 + random.Next(4))];
                    long offset = 512 * random.Next((DiskLength - data.Length) / 512);
                    if (random.Chance(0.5))
                    {
                        OracleRead read = oracle.BeginRead(offset, data.Length);
                        await disk.ReadAsync(offset, data, CancellationToken.None);
                        oracle.CompleteRead(read, data);
                    }
                    else
                    {
                        OracleWrite write = oracle.BeginStampedWrite(offset, data);
                        await disk.WriteAsync(offset, data, CancellationToken.None);
                        oracle.Complete(write);
                    }
                }
            });
        }

        scheduler.Run();
        oracle.CompleteFlush(oracle.BeginFlush());
        oracle.Check(storage.ReadFile("/disk"));
    }
}
