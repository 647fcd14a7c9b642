using BlockLayer.Images;
using BlockLayer.Libvirt;
using Xunit;

namespace BlockLayer.Simulation.Tests.Cases;

/// <summary>A snapshot of two disks is deleted, and the power fails or somebody changes his mind at exactly one moment.</summary>
public class SnapshotDeleteCases : MachineCases
{
    private const int Length = 4 * 64 * 1024;

    [Theory]
    [InlineData(CrashLoss.Everything)]
    [InlineData(CrashLoss.Nothing)]
    public void Crash_between_two_disks_of_one_snapshot_delete(CrashLoss loss)
    {
        SimulatedMachine? rebooted = null;
        Machine.Run(async () =>
        {
            (SnapshotApi snapshots, Domain domain) = await WithSnapshotAsync();
            StorageBreakpoint second = Machine.Storage.Faults.Break(new FaultRule { Operations = StorageOperations.Write, Path = "/vm/b.update", Range = new(0, 512) });
            Task deletion = snapshots.DeleteAsync(domain, "update").AsTask();
            await second.ReachedAsync();

            Assert.Single(domain.FindDisk("vda").Chain); // the first has switched, and the second is about to
            Assert.Equal(2, domain.FindDisk("vdb").Chain.Count);
            Assert.False(deletion.IsCompleted);
            rebooted = Machine.Crash(loss);
        });

        rebooted!.Run(() => AssertAfterRebootAsync(rebooted, chainLength: 1)); // the next start finishes it
    }

    [Fact]
    public void Crash_when_both_disks_are_ready()
    {
        SimulatedMachine? rebooted = null;
        Machine.Run(async () =>
        {
            (SnapshotApi snapshots, Domain domain) = await WithSnapshotAsync();
            StorageBreakpoint note = Machine.Storage.Faults.Break(new FaultRule { Operations = StorageOperations.Rename, Path = "/meta/vm.snapshots.xml.new", Skip = 1 });
            Task deletion = snapshots.DeleteAsync(domain, "update").AsTask();
            await note.ReachedAsync(); // the first was that it begins

            Assert.True((await snapshots.GetDeletionAsync(domain))!.Disks.All(static disk => disk.Stage == DeletionStage.Copying));
            rebooted = Machine.Crash();
        });

        rebooted!.Run(() => AssertAfterRebootAsync(rebooted, chainLength: 2)); // nothing had switched: it is taken back
    }

    [Fact]
    public void Guests_wait_while_the_disks_switch() => Machine.Run(async () =>
    {
        (SnapshotApi snapshots, Domain domain) = await WithSnapshotAsync();
        StorageBreakpoint second = Machine.Storage.Faults.Break(new FaultRule { Operations = StorageOperations.Write, Path = "/vm/b.update", Range = new(0, 512) });
        Task deletion = snapshots.DeleteAsync(domain, "update").AsTask();
        await second.ReachedAsync();
        Task write = domain.FindDisk("vda").Open!.WriteAsync(0, new byte[512]).AsTask();
        await Machine.PassAsync(TimeSpan.FromSeconds(1));

        Assert.False(write.IsCompleted); // though this disk has switched
        second.Continue();
        await deletion;
        await write;
    });

    [Fact]
    public void Cancelled_when_one_disk_is_ready_and_the_other_is_not() => Machine.Run(async () =>
    {
        (SnapshotApi snapshots, Domain domain) = await WithSnapshotAsync();
        using var user = new CancellationTokenSource();
        StorageBreakpoint late = Machine.Storage.Faults.Break(new FaultRule { Operations = StorageOperations.Write, Path = "/vm/b.update" });
        Task deletion = snapshots.DeleteAsync(domain, "update", cancellationToken: user.Token).AsTask();
        await late.ReachedAsync();
        await Machine.PassAsync(TimeSpan.FromMinutes(1)); // the first disk has long been ready
        user.Cancel();
        late.Continue();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => deletion);
        Assert.Null(await snapshots.GetDeletionAsync(domain));
        Assert.All(domain.Disks, static disk => Assert.Equal(2, disk.Chain.Count));
        await snapshots.DeleteAsync(domain, "update");
        Assert.All(domain.Disks, static disk => Assert.Single(disk.Chain));
    });

    private async Task<(SnapshotApi Snapshots, Domain Domain)> WithSnapshotAsync()
    {
        foreach (string path in new[] { "/vm/a.img", "/vm/b.img" })
        {
            await using Disk disk = await Machine.CreateAsync(path, Length);
            await disk.WriteAsync(0, GuestStamp.Create(0, Length, writer: 1));
        }

        (SnapshotApi snapshots, Domain domain) = await StartAsync(Machine);
        const string Merge = "<on_delete merge='forward'/>";
        await snapshots.CreateAsync(domain, $"<domainsnapshot><name>update</name><disks><disk name='vda'>{Merge}</disk><disk name='vdb'>{Merge}</disk></disks></domainsnapshot>");
        return (snapshots, domain);
    }

    private static async Task<(SnapshotApi Snapshots, Domain Domain)> StartAsync(SimulatedMachine machine)
    {
        var host = new LibvirtHost(new LibvirtHostOptions { Disks = machine.As("qcow2"), SnapshotFolder = "/meta" });
        LibvirtConnection connection = host.Connect();
        Domain domain = connection.Define($"<domain><name>vm</name><devices>{Disk("vda", "/vm/a.img")}{Disk("vdb", "/vm/b.img")}</devices></domain>");
        await connection.StartAsync(domain);
        return (new SnapshotApi(connection), domain);

        static string Disk(string target, string path) => $"<disk type='file'><driver type='qcow2'/><source file='{path}'/><target dev='{target}'/></disk>";
    }

    private static async Task AssertAfterRebootAsync(SimulatedMachine machine, int chainLength)
    {
        (SnapshotApi snapshots, Domain domain) = await StartAsync(machine);
        Assert.Equal(chainLength - 1, (await snapshots.ListAsync(domain)).All.Count);
        Assert.All(domain.Disks, disk => Assert.Equal(chainLength, disk.Chain.Count));
        foreach (DomainDisk disk in domain.Disks)
        {
            byte[] found = new byte[Length];
            await disk.Open!.ReadAsync(0, found);
            Assert.Equal(GuestStamp.Create(0, Length, writer: 1), found);
        }
    }
}
