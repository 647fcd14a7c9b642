using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Simulation.Tests.Crashes;
using BlockLayer.Storage;
using Xunit;

namespace BlockLayer.Simulation.Tests.Formats.Qcow2;

/// <summary>Power cuts while subclusters change within one host cluster, and while a disk grows by clusters that somebody used before.</summary>
public sealed class SubclusterCrashTests
{
    private const int ClusterSize = 64 * 1024;
    private const int Subcluster = ClusterSize / 32;
    private const int Length = 4 * ClusterSize;

    private static readonly CrashEnumeration s_enumeration = new() { ExhaustiveLimit = 8, RandomSubsets = 24, RandomTornStates = 8, TornWrites = false };

    private readonly SimulatedStorageProvider _storage = new();

    // Each request meets a subcluster in another state: missing, stored, zero, zero over old bytes, and of a cluster whose room was given back.
    [Fact]
    public async Task A_cluster_whose_subclusters_change_one_by_one_survives_any_crash()
    {
        await CreateAsync(new Qcow2CreateOptions { Length = Length, ClusterSize = ClusterSize, ExtendedL2 = true });
        var oracle = new SectorOracle(Length);
        using var recorder = new CrashRecorder(_storage, oracle);
        await using (Qcow2Node node = await OpenAsync(_storage, NodeAccess.ReadWrite))
        {
            await WriteAsync(node, oracle, 3 * Subcluster, 2 * Subcluster);
            await FlushAsync(node, oracle);
            await ZeroAsync(node, oracle, 3 * Subcluster, Subcluster, ZeroFlags.None);
            await WriteAsync(node, oracle, 3 * Subcluster, 512);
            await WriteAsync(node, oracle, 20 * Subcluster, 5 * Subcluster);
            await FlushAsync(node, oracle);
            await ZeroAsync(node, oracle, 0, ClusterSize, ZeroFlags.MayUnmap);
            await WriteAsync(node, oracle, 5 * Subcluster, Subcluster);
            await WriteAsync(node, oracle, ClusterSize - Subcluster, 3 * Subcluster);
            await FlushAsync(node, oracle);
            await DiscardAsync(node, oracle, ClusterSize, ClusterSize);
            await FlushAsync(node, oracle);
            await WriteAsync(node, oracle, 2 * ClusterSize, ClusterSize);
        }

        long states = await CrashCheck.RunAsync(
            recorder,
            async (state, crashed) => ((SectorOracle)state.Image.Observation!).Check(await ReadSoundAsync(crashed)),
            s_enumeration);
        CrashTable.Print("qcow2: subclusters of one cluster", recorder, states, "what was acknowledged, no errors");
    }

    [Theory]
    [InlineData(Preallocation.Metadata, false)]
    [InlineData(Preallocation.Full, false)]
    [InlineData(Preallocation.Falloc, true)]
    public async Task A_disk_that_grows_with_room_never_shows_what_its_clusters_held_before(Preallocation mode, bool extended)
    {
        const int NewLength = 2 * Length;
        await CreateAsync(new Qcow2CreateOptions { Length = Length, ClusterSize = ClusterSize, ExtendedL2 = extended });
        byte[] content = new byte[Length];
        content.AsSpan().Fill(7);
        CrashRecorder recorder;
        bool done = false;
        await using (Qcow2Node node = await OpenAsync(_storage, NodeAccess.ReadWrite))
        {
            await node.WriteAsync(0, GuestStamp.Create(0, Length, writer: 6));
            await node.WriteAsync(0, content, WriteFlags.Compressed); // leaves clusters free and their bytes in the file
            await node.FlushAsync();
            await node.FlushAsync();
            long fileLength = node.File.Length;
            recorder = new CrashRecorder(_storage) { Observe = () => done };
            await node.ResizeAsync(NewLength, new ResizeOptions { Preallocation = mode });
            done = true;
            Assert.InRange(node.File.Length, fileLength, fileLength + ClusterSize); // they were used again
        }

        using (recorder)
        {
            long states = await CrashCheck.RunAsync(
                recorder,
                async (state, crashed) =>
                {
                    byte[] found = await ReadSoundAsync(crashed);
                    Assert.True(found.Length == NewLength || (found.Length == Length && !(bool)state.Image.Observation!), $"the disk has {found.Length} bytes");
                    Assert.True(found.AsSpan(0, Length).SequenceEqual(content), "what was there is gone");
                    Assert.True(found.AsSpan(Length).IndexOfAnyExcept((byte)0) < 0, "what was replaced came back");
                },
                s_enumeration);
            CrashTable.Print($"qcow2: growth with preallocation, {mode}{(extended ? ", extended" : "")}", recorder, states, "the old size or the new one, zeroes, no errors");
        }
    }

    private static async ValueTask WriteAsync(Qcow2Node node, SectorOracle oracle, long offset, int length)
    {
        byte[] data = new byte[length];
        OracleWrite write = oracle.BeginStampedWrite(offset, data);
        await node.WriteAsync(offset, data);
        oracle.Complete(write);
    }

    private static async ValueTask ZeroAsync(Qcow2Node node, SectorOracle oracle, long offset, int length, ZeroFlags flags)
    {
        OracleWrite zeroes = oracle.BeginWriteZeroes(offset, length);
        await node.WriteZeroesAsync(offset, length, flags);
        oracle.Complete(zeroes);
    }

    private static async ValueTask DiscardAsync(Qcow2Node node, SectorOracle oracle, long offset, int length)
    {
        OracleWrite discard = oracle.BeginDiscard(offset, length);
        await node.DiscardAsync(offset, length);
        oracle.Complete(discard);
    }

    private static async ValueTask FlushAsync(Qcow2Node node, SectorOracle oracle)
    {
        long flush = oracle.BeginFlush();
        await node.FlushAsync();
        oracle.CompleteFlush(flush);
    }

    private static async ValueTask<byte[]> ReadSoundAsync(StorageProvider files)
    {
        await using Qcow2Node node = await OpenAsync(files, NodeAccess.ReadOnly);
        byte[] found = new byte[node.Length];
        await node.ReadAsync(0, found);
        ImageCheckReport report = await ImageChecker.CheckAsync(node);
        Assert.True(report.Corruptions == 0, string.Join('\n', report.Findings));
        return found;
    }

    private async Task CreateAsync(Qcow2CreateOptions options)
    {
        var how = new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateOrTruncate };
        await using var file = new StorageNode(await _storage.OpenAsync("disk", how, CancellationToken.None), EnvironmentOf(_storage));
        await Qcow2Format.Instance.CreateAsync(file, options, CancellationToken.None);
        await _storage.FlushDirectoryAsync("disk", CancellationToken.None);
    }

    private static async ValueTask<Qcow2Node> OpenAsync(StorageProvider files, NodeAccess access)
    {
        var how = new StorageOpenOptions { Writable = access == NodeAccess.ReadWrite };
        var file = new StorageNode(await files.OpenAsync("disk", how, CancellationToken.None), EnvironmentOf(files));
        return (Qcow2Node)await Qcow2Format.Instance.OpenAsync(file, new FormatOpenContext { NodeName = "disk", Access = access }, CancellationToken.None);
    }

    private static BlockEnvironment EnvironmentOf(StorageProvider files)
        => new() { Files = files, Work = InlineWorkScheduler.Instance, Time = TimeProvider.System };
}
