using BlockLayer.Images;
using Xunit;

namespace BlockLayer.Simulation.Tests.Guests;

public sealed class OracleGuestTests
{
    [Fact]
    public void A_read_that_says_that_all_is_well_and_fills_nothing_is_noticed_where_zeroes_are_due()
    {
        var machine = new SimulatedMachine();
        var lie = new FaultRule { Operations = StorageOperations.Read, Effect = FaultEffect.Lie };
        SectorOracleException caught = Assert.Throws<SectorOracleException>(() => machine.Run(async () =>
        {
            await using Disk disk = await machine.CreateAsync("/disk", 64 * 1024, format: "raw");
            var guest = new OracleGuest(disk.Root, new SectorOracle(disk.Length));
            await guest.ReadAsync(0, 4096);
            machine.Storage.Faults.Add(lie);
            await guest.ReadAsync(0, 4096);
        }));
        Assert.Equal(1, machine.Storage.Faults.CountHits(lie));
        Assert.Contains("DBDBDBDB", caught.Message, StringComparison.Ordinal);
    }
}
