using BlockLayer.Jobs;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Simulation.Tests.Jobs;

/// <summary>Backups of disks that guests go on writing, by seeds: what they hold is the disks at one moment.</summary>
public class BackupInterleavings
{
    [Fact]
    public void A_backup_holds_the_disk_of_the_moment_it_was_started()
        => SimulationSearch.Run(Effort.Times(150), scheduler => new BackupWorld(scheduler, disks: 1).Run(BackupSync.Full));

    [Fact]
    public void Backups_started_together_hold_their_disks_of_one_moment()
        => SimulationSearch.Run(Effort.Times(100), scheduler => new BackupWorld(scheduler, disks: 2).Run(BackupSync.Full));

    [Fact]
    public void A_chain_of_incremental_backups_holds_the_disk_of_the_moment_the_last_was_started()
        => SimulationSearch.Run(Effort.Times(150), scheduler => new BackupWorld(scheduler, disks: 1).Run(BackupSync.Incremental));

    [Fact]
    public void A_backup_that_saves_after_the_write_is_caught()
    {
        SimulationSearchException caught = Assert.Throws<SimulationSearchException>(
            () => SimulationSearch.Run(1000, scheduler => new BackupWorld(scheduler, disks: 1) { IsBroken = true }.Run(BackupSync.Full)));
        Assert.Contains("is not in", caught.Message, StringComparison.Ordinal);
    }
}
