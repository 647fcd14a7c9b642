using BlockLayer.Images;
using BlockLayer.KillHost;
using BlockLayer.Libvirt;
using BlockLayer.Simulation;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Interop.Tests.Kill;

/// <summary>
/// A snapshot of a domain's two disks is deleted under guests, each disk merged its way, and the process is killed at any moment. The domain, defined as it was in the beginning, starts
/// again: both disks hold every flush that their guests were told of, and the snapshot is there or gone with all of it.
/// </summary>
public sealed class SnapshotKillTests
{
    private const int DiskLength = 4 << 20;

    private readonly QemuTool _qemuImg = QemuTool.Require("qemu-img");

    [Fact]
    public async Task Killed_while_a_snapshot_is_deleted_both_disks_keep_what_was_promised()
        => await Seeds.CheckAsync($"{nameof(SnapshotKillTests)}.{nameof(Killed_while_a_snapshot_is_deleted_both_disks_keep_what_was_promised)}", count: 8, RunAsync);

    private async Task RunAsync(ulong seed)
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(SnapshotRun.NotesIn(folder.Path));
        foreach (string file in SnapshotRun.Disks.Values)
        {
            await (await Disk.CreateAsync(folder.File(file), new NewImage { Format = "qcow2", Length = DiskLength })).DisposeAsync();
        }

        int most = 1 << new SeededRandom(seed).Next(12); // lines of the guests after the deletion has begun
        int said = 0;
        List<string> lines = KilledProcess.Run(
            "BlockLayer.KillHost",
            [nameof(KillPoint.AfterSuccess), "0", folder.Path, "snapshot", $"{seed}"],
            process => process.StandardOutput,
            line => line == Report.Stopped || (said > 0 ? ++said > most : line == SnapshotRun.Deleting && ++said > most));

        string[] tops = await CheckAndFinishAsync(folder.Path, lines);
        foreach (string top in tops)
        {
            QemuResult check = _qemuImg.Run("check", "-f", "qcow2", top);
            Assert.True(check.ExitCode is 0 or 3, $"{top}: {check.ExitCode}: {check.Output}{check.Error}"); // 3: leaked clusters
            _qemuImg.RunOk("info", "--backing-chain", "-f", "qcow2", top);
        }
    }

    // Starts the domain again, and deletes the snapshot if it is still there. Returns the newest images.
    private static async Task<string[]> CheckAndFinishAsync(string folder, List<string> lines)
    {
        await using LibvirtHost host = SnapshotRun.OpenHost(folder);
        LibvirtConnection connection = host.Connect();
        Domain domain = await SnapshotRun.StartAsync(connection, folder);
        var snapshots = new SnapshotApi(connection);
        await CheckAsync(domain, lines);
        bool isThere = (await snapshots.ListAsync(domain)).TryFind(SnapshotRun.Snapshot) is not null;
        Assert.False(isThere && lines.Contains(GuestRun.Told), "the deletion was told, and the snapshot is there");
        if (isThere)
        {
            await snapshots.DeleteAsync(domain, SnapshotRun.Snapshot);
            await CheckAsync(domain, lines);
        }

        Assert.Null((await snapshots.ListAsync(domain)).TryFind(SnapshotRun.Snapshot));
        return [.. SnapshotRun.Disks.Keys.Select(target => domain.FindDisk(target).Open!.Chain[0].Path!)];
    }

    private static async Task CheckAsync(Domain domain, List<string> lines)
    {
        foreach (string target in SnapshotRun.Disks.Keys)
        {
            string mark = $"{target} ";
            var report = new GuestReport(new byte[DiskLength], lines.Where(line => line.StartsWith(mark, StringComparison.Ordinal)).Select(line => line[mark.Length..]));
            Assert.True(report is { Writes: > 20, Flushes: > 1 }, $"{report.Writes} writes and {report.Flushes} flushes prove little");
            report.Check(await OracleGuest.ReadAllAsync(domain.FindDisk(target).Open!.Root));
        }
    }
}
