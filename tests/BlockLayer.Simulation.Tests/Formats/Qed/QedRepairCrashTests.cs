using System.Buffers.Binary;
using BlockLayer.Formats.Qed;
using BlockLayer.Graph;
using BlockLayer.Simulation.Tests.Crashes;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Formats.Qed;
using Xunit;

namespace BlockLayer.Simulation.Tests.Formats.Qed;

/// <summary>A crash in the middle of a repair: what could be read still can, and another repair finishes the work.</summary>
public sealed class QedRepairCrashTests
{
    private const int Cluster = QedWorld.Cluster;
    private const int L1 = Cluster;
    private const int L2 = 3 * Cluster; // header 0, L1 table 1-2, L2 table 3-4, data from 5 on
    private const int Length = 8 << 20;

    private static readonly CrashEnumeration s_enumeration = new() { ExhaustiveLimit = 6, RandomSubsets = 12, RandomTornStates = 6 };

    private static readonly Dictionary<string, Action<byte[]>> s_damages = new()
    {
        ["cluster with two owners"] = static file => Write(file, L2 + (20 * 8), 6 * Cluster),
        ["table with two owners"] = static file => Write(file, L1 + 8, L2),
        ["data in a table"] = static file => Write(file, L2 + (20 * 8), L2 + Cluster),
        ["data in the L1 table"] = static file => Write(file, L2 + (20 * 8), L1),
        ["L2 entry behind the end"] = static file => Write(file, L2 + (20 * 8), 99 * Cluster),
        ["L2 entry inside a cluster"] = static file => Write(file, L2, 0x5001),
        ["L1 entry behind the end"] = static file => Write(file, L1 + 8, 99 * Cluster),
        ["leaked clusters"] = static file => file.AsSpan(L2, 16).Clear(),
        ["everything at once"] = static file =>
        {
            Write(file, L1 + 8, L2);
            Write(file, L2 + (20 * 8), L2);
            Write(file, L2 + (21 * 8), 77 * Cluster);
            Write(file, L2, 0);
        },
    };

    public static TheoryData<string> Damages => new(s_damages.Keys);

    [Theory]
    [MemberData(nameof(Damages))]
    public async Task Repair_that_is_cut_off_is_finished_by_another(string damage)
    {
        byte[] damaged = await MakeImageAsync();
        s_damages[damage](damaged);
        var storage = new SimulatedStorageProvider();
        storage.AddFile("disk", damaged);
        byte[]?[] before = await ReadAsync(storage);
        using var recorder = new CrashRecorder(storage);
        Assert.True((await RepairAsync(storage)).After.IsClean);
        long finished = 0;
        long leaks = 0;
        long states = await CrashCheck.RunAsync(
            recorder,
            async (_, crashed) =>
            {
                AssertKept(before, await ReadAsync(crashed));
                ImageRepairReport report = await RepairAsync(crashed);
                Assert.True(report.After.Corruptions == 0, string.Join('\n', report.After.Findings));
                leaks = Math.Max(leaks, report.After.Leaks);
                AssertKept(before, await ReadAsync(crashed));
                finished += report.Before.IsClean ? 0 : 1;
            },
            s_enumeration);
        CrashTable.Print($"repair: qed, {damage}", recorder, states, $"{states - finished} sound already, {finished} finished by another repair, at most {leaks} clusters below a new table lost, no readable byte");
    }

    private static void AssertKept(byte[]?[] before, byte[]?[] after)
    {
        for (int i = 0; i < before.Length; i++)
        {
            if (before[i] is { } expected)
            {
                Assert.True(after[i] is { } found && found.AsSpan().SequenceEqual(expected), $"cluster {i} could be read and has changed");
            }
        }
    }

    /// <summary>The clusters of the disk that have anything to read in them, null where reading fails.</summary>
    private static async ValueTask<byte[]?[]> ReadAsync(SimulatedStorageProvider files)
    {
        await using QedNode node = await WorldOf(files).OpenAsync("disk", access: NodeAccess.ReadOnly);
        byte[]?[] clusters = new byte[]?[Length / Cluster];
        for (int i = 0; i < clusters.Length; i += i == 30 ? 994 : 1) // nothing is between
        {
            byte[] bytes = new byte[Cluster];
            try
            {
                await node.ReadAsync((long)i * Cluster, bytes);
                clusters[i] = bytes;
            }
            catch (Errors.BlockLayerException)
            {
                clusters[i] = null;
            }

            if (i == 1060)
            {
                break;
            }
        }

        return clusters;
    }

    private static async ValueTask<ImageRepairReport> RepairAsync(SimulatedStorageProvider files)
    {
        await using QedNode node = await WorldOf(files).OpenAsync("disk", purpose: OpenPurpose.Repair);
        return await node.RepairAsync(RepairMode.All, progress: null, CancellationToken.None);
    }

    private static async ValueTask<byte[]> MakeImageAsync()
    {
        var storage = new SimulatedStorageProvider();
        QedWorld world = WorldOf(storage);
        await world.CreateAsync("disk", QedWorld.Small(Length));
        await using (QedNode node = await world.OpenAsync("disk"))
        {
            await node.WriteAsync(0, Pattern.Of(0, 2 * Cluster, writer: 1));
            await node.WriteAsync(9 * Cluster, Pattern.Of(9 * Cluster, Cluster, writer: 1));
            await node.WriteAsync(2 * Cluster, Pattern.Of(2 * Cluster, Cluster, writer: 1));
        }

        return storage.ReadFile("disk");
    }

    private static QedWorld WorldOf(StorageProvider files)
        => new() { Environment = new BlockEnvironment { Files = files, Work = InlineWorkScheduler.Instance, Time = TimeProvider.System } };

    private static void Write(byte[] file, int at, ulong entry) => BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(at), entry);
}
