using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Simulation.Tests.Crashes;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Formats.Qcow2;
using Xunit;

namespace BlockLayer.Simulation.Tests.Formats.Qcow2;

/// <summary>A crash in the middle of a repair: what could be read still can, and another repair finishes the work.</summary>
public sealed class Qcow2RepairCrashTests
{
    private const int ClusterSize = 512;
    private const int Length = 80 * ClusterSize; // more than one L2 table

    private static readonly CrashEnumeration s_enumeration = new() { ExhaustiveLimit = 6, RandomSubsets = 12, RandomTornStates = 6 };

    public static TheoryData<string, int> Damages
    {
        get
        {
            TheoryData<string, int> data = [];
            foreach (string damage in Damage.Names.Where(static damage => !damage.StartsWith("snapshot", StringComparison.Ordinal)
                && !damage.StartsWith("bitmap", StringComparison.Ordinal) && !damage.Contains("stream", StringComparison.Ordinal)
                && !damage.Contains("subcluster", StringComparison.Ordinal)))
            {
                data.Add(damage, 3);
            }

            foreach (string damage in (string[])["L2 entry: another one's cluster", "L2 entry: its own table", "L1 entry: the L1 table", "refcounts: everything free", "L2 entry: far behind the end"])
            {
                data.Add(damage, 2);
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Damages))]
    public async Task Repair_that_is_cut_off_is_finished_by_another(string damage, int version)
    {
        DamagedImage image = new(await MakeImageAsync(version));
        Damage.Apply(damage, image);
        await CheckAsync($"qcow2 version {version}, {damage}", image.File, RepairMode.All);
    }

    [Theory]
    [InlineData("q7-snap.qcow2", "snapshot: no sizes")]
    [InlineData("q7-snap.qcow2", "snapshot: an L2 table as L1 table")]
    [InlineData("q7-snap.qcow2", "snapshot: the L1 table of the other one")]
    [InlineData("q7-bitmap.qcow2", "bitmap: data for bits")]
    [InlineData("q7-zlibmix.qcow2", "L2 entry: stream in another one's cluster")]
    [InlineData("q7-extl2-zero.qcow2", "L2 entry: another one's cluster")]
    [InlineData("q7-snap.qcow2", "L2 entry: another one's cluster")]
    [InlineData("q7-snap.qcow2", "refcount table: block dropped")]
    [InlineData("q7-bitmap.qcow2", "refcounts: everything free")]
    public async Task Repair_of_an_image_with_more_in_it_is_finished_by_another(string name, string damage)
    {
        DamagedImage image = new(await File.ReadAllBytesAsync(GoldenImages.Get(name).Path, TestContext.Current.CancellationToken));
        Damage.Apply(damage, image);
        await CheckAsync($"{name}, {damage}", image.File, RepairMode.All);
    }

    [Theory]
    [InlineData("count: 2^32-1")]
    [InlineData("offset: behind the end")]
    [InlineData("offset: the L1 table")]
    [InlineData("first: extra data of 1025 bytes")]
    [InlineData("second: extra data of 1025 bytes")]
    [InlineData("second: what no entry is")]
    public async Task Repair_of_a_snapshot_table_is_finished_by_another(string damage)
    {
        DamagedImage image = new(await File.ReadAllBytesAsync(GoldenImages.Get("q7-snap.qcow2").Path, TestContext.Current.CancellationToken));
        SnapshotTableDamage.Apply(damage, image);
        await CheckAsync($"snapshot table, {damage}", image.File, RepairMode.All);
    }

    [Fact]
    public async Task Repair_of_leaks_that_is_cut_off_is_finished_by_another()
    {
        DamagedImage image = new(await MakeImageAsync(version: 3));
        Damage.Apply("refcounts: everything as often as can be", image);
        await CheckAsync("qcow2 version 3, leaks only", image.File, RepairMode.Leaks);
    }

    private static async Task CheckAsync(string what, byte[] damaged, RepairMode mode)
    {
        ReadableContent before = await ReadableContent.OfAsync(damaged);
        var storage = new SimulatedStorageProvider();
        storage.AddFile("disk", damaged);
        using var recorder = new CrashRecorder(storage);
        Assert.True((await RepairAsync(storage, mode)).After.IsClean);
        long finished = 0;
        long states = await CrashCheck.RunAsync(
            recorder,
            async (_, crashed) =>
            {
                before.AssertKeptBy(await ReadableContent.OfAsync(crashed.ReadFile("disk")), "after the crash");
                ImageRepairReport report = await RepairAsync(crashed, mode);
                Assert.True(report.After.IsClean, string.Join('\n', report.After.Findings));
                byte[] repaired = crashed.ReadFile("disk");
                Assert.False(Qcow2Header.Parse(repaired).HasFeature(IncompatibleFeatures.Corrupt));
                before.AssertKeptBy(await ReadableContent.OfAsync(repaired), "after the second repair");
                finished += report.Before.IsClean ? 0 : 1;
            },
            s_enumeration);
        CrashTable.Print($"repair: {what}", recorder, states, $"{states - finished} sound already, {finished} finished by another repair, no readable byte lost");
    }

    private static async ValueTask<ImageRepairReport> RepairAsync(SimulatedStorageProvider files, RepairMode mode)
    {
        await using Qcow2Node node = await OpenAsync(files, OpenPurpose.Repair);
        return await node.RepairAsync(mode, progress: null, CancellationToken.None);
    }

    private static async ValueTask<byte[]> MakeImageAsync(int version)
    {
        var storage = new SimulatedStorageProvider();
        BlockStorage created = await storage.OpenAsync("disk", new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateOrTruncate }, CancellationToken.None);
        await using (var file = new StorageNode(created, EnvironmentOf(storage)))
        {
            await Qcow2Format.Instance.CreateAsync(file, new Qcow2CreateOptions { Length = Length, ClusterSize = ClusterSize, Version = version }, CancellationToken.None);
        }

        await using (Qcow2Node node = await OpenAsync(storage, OpenPurpose.Use))
        {
            await node.WriteAsync(0, Pattern.Of(0, 8 * ClusterSize, writer: 1));
            await node.WriteAsync(70 * ClusterSize, Pattern.Of(70 * ClusterSize, 2 * ClusterSize, writer: 3));
            await node.WriteAsync(20 * ClusterSize, Pattern.Of(20 * ClusterSize, 5 * ClusterSize, writer: 2));
        }

        return storage.ReadFile("disk");
    }

    private static async ValueTask<Qcow2Node> OpenAsync(SimulatedStorageProvider files, OpenPurpose purpose)
    {
        BlockStorage storage = await files.OpenAsync("disk", new StorageOpenOptions { Writable = true }, CancellationToken.None);
        var context = new FormatOpenContext { NodeName = "disk", Access = NodeAccess.ReadWrite, Purpose = purpose };
        return (Qcow2Node)await Qcow2Format.Instance.OpenAsync(new StorageNode(storage, EnvironmentOf(files)), context, CancellationToken.None);
    }

    private static BlockEnvironment EnvironmentOf(StorageProvider files)
        => new() { Files = files, Work = InlineWorkScheduler.Instance, Time = TimeProvider.System };
}
