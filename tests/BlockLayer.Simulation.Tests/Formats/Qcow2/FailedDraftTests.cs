using BlockLayer.Errors;
using BlockLayer.Images;
using Xunit;

namespace BlockLayer.Simulation.Tests.Formats.Qcow2;

/// <summary>
/// A write of new tables fails when half of it is done and has made the file longer than anybody knows. What it left there is no guest's: a cluster that is taken there later and written in
/// part reads as zeroes around that. Seen by <c>blk simulate --first 19645</c>.
/// </summary>
public sealed class FailedDraftTests
{
    private const int Cluster = 64 * 1024;

    [Fact]
    public void What_a_failed_snapshot_wrote_shows_in_no_cluster_of_the_guest()
    {
        int failures = 0;
        for (ulong seed = 1; seed <= 8; seed++)
        {
            for (int skip = 0; skip < 6; skip++)
            {
                var machine = new SimulatedMachine(seed);
                machine.Run(async () =>
                {
                    await using Disk disk = await machine.CreateAsync("/disk", 32 * Cluster);
                    var guest = new OracleGuest(disk.Root, new SectorOracle(disk.Length));
                    await guest.WriteAsync(0, Cluster);
                    await guest.FlushAsync();
                    machine.Storage.Faults.Add(new FaultRule { Operations = StorageOperations.Write, Skip = skip, Count = 1, Effect = FaultEffect.FailPartly });
                    try
                    {
                        await ImageSnapshots.CreateAsync(disk.Root, "kept");
                    }
                    catch (BlockLayerException)
                    {
                        failures++;
                    }

                    machine.Storage.Faults.Clear();
                    for (int cluster = 8; cluster < 24; cluster++)
                    {
                        await guest.WriteAsync((cluster * Cluster) + (Cluster / 2), SectorPattern.SectorSize);
                    }

                    await guest.ReadAsync(0, (int)disk.Length);
                });
            }
        }

        Assert.InRange(failures, 8, 48);
    }
}
