using BlockLayer.Images;
using BlockLayer.KillHost;
using BlockLayer.Libvirt;
using BlockLayer.Simulation;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Interop.Tests.Kill;

/// <summary>
/// A snapshot of a domain's two disks is made under guests, or deleted, each disk merged its way, and the process is killed at any moment. The domain, defined as it was in the beginning,
/// starts again: both disks hold every flush that their guests were told of, and the snapshot is there or gone with all of it.
/// </summary>
public sealed class SnapshotKillTests
{
    private const int DiskLength = 4 << 20;

    private readonly QemuTool _qemuImg = QemuTool.Require("qemu-img");

    [Theory]
    [InlineData(SnapshotRun.Create)]
    [InlineData(SnapshotRun.Delete)]
    public async Task Killed_while_a_snapshot_is_made_or_deleted_both_disks_keep_what_was_promised(string work)
        => await Seeds.CheckAsync(
            $"{nameof(SnapshotKillTests)}.{nameof(Killed_while_a_snapshot_is_made_or_deleted_both_disks_keep_what_was_promised)}",
            count: work == SnapshotRun.Delete ? 8 : 5,
            seed =>
            {
                int most = 1 << new SeededRandom(seed).Next(work == SnapshotRun.Delete ? 12 : 9); // lines of the guests after it has begun
                return RunAsync(seed, work, nameof(KillPoint.AfterSuccess), callsBefore: 0, most);
            });

    // Seeds below 4 merge both disks forward, the first backward, the second, both. The calls of the end are the switches of the disks, and the notes between them.
    [Theory]
    [InlineData(SnapshotRun.Create, nameof(KillPoint.BeforeSwitch))]
    [InlineData(SnapshotRun.Create, nameof(KillPoint.Finishing))]
    [InlineData(SnapshotRun.Delete, nameof(KillPoint.BeforeSwitch))]
    [InlineData(SnapshotRun.Delete, nameof(KillPoint.Finishing))]
    [InlineData(SnapshotRun.Delete, nameof(KillPoint.AfterSwitch))]
    public async Task Killed_while_the_disks_switch_both_keep_what_was_promised(string work, string point)
    {
        int most = Effort.Times(work == SnapshotRun.Delete && point != nameof(KillPoint.BeforeSwitch) ? 4 : 2);
        for (int i = 0; i < most; i++)
        {
            await RunAsync(seed: (ulong)i, work, point, callsBefore: 1 + (i * 2)); // the first is the note that lets them switch
        }
    }

    private async Task RunAsync(ulong seed, string work, string point, int callsBefore, int most = int.MaxValue)
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(SnapshotRun.NotesIn(folder.Path));
        foreach (string file in SnapshotRun.Disks.Values)
        {
            await (await Disk.CreateAsync(folder.File(file), new NewImage { Format = "qcow2", Length = DiskLength })).DisposeAsync();
        }

        int said = 0;
        List<string> lines = KilledProcess.Run(
            "BlockLayer.KillHost",
            [point, $"{callsBefore}", folder.Path, "snapshot", $"{seed}", work],
            process => process.StandardOutput,
            line => line == Report.Stopped || (said > 0 ? ++said > most : line == SnapshotRun.Begun && ++said > most));

        string[] tops = await CheckAndFinishAsync(folder.Path, lines, seed, work);
        foreach (string top in tops)
        {
            QemuResult check = _qemuImg.Run("check", "-f", "qcow2", top);
            Assert.True(check.ExitCode is 0 or 3, $"{top}: {check.ExitCode}: {check.Output}{check.Error}"); // 3: leaked clusters
            _qemuImg.RunOk("info", "--backing-chain", "-f", "qcow2", top);
        }
    }

    // Starts the domain again, and makes or deletes the snapshot if that was not done. Returns the newest images.
    private static async Task<string[]> CheckAndFinishAsync(string folder, List<string> lines, ulong seed, string work)
    {
        await using LibvirtHost host = SnapshotRun.OpenHost(folder);
        LibvirtConnection connection = host.Connect();
        Domain domain = await SnapshotRun.StartAsync(connection, folder);
        var snapshots = new SnapshotApi(connection);
        await CheckAsync(domain, lines);
        bool isThere = (await snapshots.ListAsync(domain)).TryFind(SnapshotRun.Snapshot) is not null;
        bool isDone = isThere == (work == SnapshotRun.Create);
        Assert.False(!isDone && lines.Contains(GuestRun.Told), $"the end was told, and the snapshot is {(isThere ? "" : "not ")}there");
        AssertNoOtherFiles(folder, domain);
        if (!isDone)
        {
            Task change = isThere ? snapshots.DeleteAsync(domain, SnapshotRun.Snapshot).AsTask() : snapshots.CreateAsync(domain, SnapshotRun.Xml(seed)).AsTask();
            await change;
            await CheckAsync(domain, lines);
            AssertNoOtherFiles(folder, domain);
        }

        Assert.All(domain.Disks, disk => Assert.Equal(work == SnapshotRun.Create ? 2 : 1, disk.Chain.Count));
        return [.. domain.Disks.Select(static disk => disk.Open!.Chain[0].Path!)];
    }

    private static void AssertNoOtherFiles(string folder, Domain domain)
        => Assert.Equal(domain.Disks.SelectMany(static disk => disk.Chain).Select(static image => image.Path).Order(), Directory.GetFiles(folder).Order());

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
