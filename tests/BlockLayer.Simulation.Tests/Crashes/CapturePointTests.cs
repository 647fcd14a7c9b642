using BlockLayer.Storage;
using Xunit;

namespace BlockLayer.Simulation.Tests.Crashes;

/// <summary>The argument of <see cref="CrashRecorder"/>, tried: capturing at the few sufficient points finds a broken promise whenever capturing everywhere does.</summary>
public class CapturePointTests
{
    private const int DiskLength = 8 * 512;

    [Fact]
    public async Task Few_points_find_whatever_all_points_find()
    {
        int broken = 0;
        for (ulong seed = 0; seed < 100; seed++)
        {
            bool everywhere = await IsBrokenAsync(seed, CapturePoints.EveryOperation);
            Assert.Equal((seed, everywhere), (seed, await IsBrokenAsync(seed, CapturePoints.Sufficient)));
            broken += everywhere ? 1 : 0;
        }

        Assert.InRange(broken, 20, 80); // both answers occur
    }

    /// <summary>A guest writes, zeroes, discards and flushes at random, several requests at a time, on a disk whose flushes lie at times.</summary>
    private static async Task<bool> IsBrokenAsync(ulong seed, CapturePoints points)
    {
        var scheduler = new SimulationScheduler(seed);
        var storage = new SimulatedStorageProvider(scheduler);
        storage.AddFile("/disk", new byte[DiskLength]);
        storage.Faults.Add(new FaultRule { Operations = StorageOperations.Flush, Effect = FaultEffect.Lie, Probability = 0.5 });
        var oracle = new SectorOracle(DiskLength);
        using var recorder = new CrashRecorder(storage, oracle, points);
        SeededRandom random = scheduler.CreateRandom(100);
        scheduler.Run(async () =>
        {
            await using BlockStorage disk = await storage.OpenAsync("/disk", new StorageOpenOptions { Writable = true }, CancellationToken.None);
            for (int round = 0; round < 4; round++)
            {
                await Task.WhenAll(ActAsync(disk, oracle, random), ActAsync(disk, oracle, random));
            }
        });
        try
        {
            await CrashCheck.RunAsync(recorder, reopened => Task.FromResult(reopened.ReadFile("/disk")));
            return false;
        }
        catch (CrashCheckException)
        {
            return true;
        }
    }

    private static async Task ActAsync(BlockStorage disk, SectorOracle oracle, SeededRandom random)
    {
        int length = 512 * (1 + random.Next(2));
        long offset = 512 * random.Next((DiskLength - length) / 512);
        switch (random.Next(6))
        {
            case 0:
                OracleWrite zeroes = oracle.BeginWriteZeroes(offset, length);
                await disk.WriteZeroesAsync(offset, length, ZeroMode.MayUnmap, CancellationToken.None);
                oracle.Complete(zeroes);
                break;
            case 1:
                OracleWrite discard = oracle.BeginDiscard(offset, length);
                await disk.DiscardAsync(offset, length, CancellationToken.None);
                oracle.Complete(discard);
                break;
            case 2 or 3:
                long flush = oracle.BeginFlush();
                await disk.FlushAsync(CancellationToken.None);
                oracle.CompleteFlush(flush);
                break;
            default:
                byte[] data = new byte[length];
                OracleWrite write = oracle.BeginStampedWrite(offset, data);
                await disk.WriteAsync(offset, data, CancellationToken.None);
                oracle.Complete(write);
                break;
        }
    }
}
