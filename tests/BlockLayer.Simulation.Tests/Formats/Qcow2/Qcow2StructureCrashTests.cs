using BlockLayer.Formats.Qcow2;
using BlockLayer.Formats.Raw;
using BlockLayer.Graph;
using BlockLayer.Simulation.Tests.Crashes;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Simulation.Tests.Formats.Qcow2;

/// <summary>Crashes while tables move, the disk changes its size, or the header names another backing file: the old state or the new one, never a mixture.</summary>
public sealed class Qcow2StructureCrashTests
{
    private const int ClusterSize = 512;

    private static readonly CrashEnumeration s_enumeration = new() { ExhaustiveLimit = 8, RandomSubsets = 16, RandomTornStates = 8 };

    [Fact]
    public async Task A_growing_refcount_table_and_what_it_counts_survive_any_crash()
    {
        const int Length = 2 << 20;
        const int Piece = 64 * 1024;
        var storage = new SimulatedStorageProvider();
        await CreateAsync(storage, new Qcow2CreateOptions { Length = Length, ClusterSize = ClusterSize, RefcountBits = 64 });
        var oracle = new SectorOracle(Length);
        CrashRecorder? recorder = null;
        await using (Qcow2Node node = await OpenAsync(storage, NodeAccess.ReadWrite))
        {
            uint before = node.Header.RefcountTableClusters;
            for (int at = 0; at < Length; at += Piece)
            {
                // Most of the disk only leads up to the growth; recording all of it would try states that others try already.
                recorder ??= at >= Length - (10 * Piece) ? new CrashRecorder(storage, oracle) : null;
                byte[] data = new byte[Piece];
                OracleWrite write = oracle.BeginStampedWrite(at, data);
                await node.WriteAsync(at, data);
                oracle.Complete(write);
                long flush = oracle.BeginFlush();
                await node.FlushAsync();
                oracle.CompleteFlush(flush);
            }

            Assert.True(node.Header.RefcountTableClusters > before, "the table did not have to grow");
        }

        using (recorder)
        {
            long states = await CrashCheck.RunAsync(
                recorder!,
                async (state, crashed) => ((SectorOracle)state.Image.Observation!).Check(await ReadSoundAsync(crashed)),
                s_enumeration);
            CrashTable.Print("qcow2: guests, the refcount table grows", recorder!, states, "flushed or later, no errors");
        }
    }

    [Fact]
    public async Task A_disk_that_grows_over_a_longer_backing_file_never_shows_it()
    {
        const int OldLength = 20 * ClusterSize;
        const int NewLength = 9000 * ClusterSize; // more L1 entries than a cluster holds
        const int BackingLength = 40 * ClusterSize;
        byte[] below = GuestStamp.Create(0, BackingLength, writer: 5);
        var storage = new SimulatedStorageProvider();
        storage.AddFile("base", below);
        await CreateAsync(storage, new Qcow2CreateOptions { Length = OldLength, ClusterSize = ClusterSize, Backing = new BackingReference("base", "raw") });
        using var recorder = new CrashRecorder(storage);
        bool done = false;
        recorder.Observe = () => done;
        await using (Qcow2Node node = await OpenAsync(storage, NodeAccess.ReadWrite))
        {
            node.AttachBacking(await OpenBaseAsync(storage));
            await node.ResizeAsync(NewLength);
            done = true;
        }

        long states = await CrashCheck.RunAsync(
            recorder,
            async (state, crashed) =>
            {
                await using Qcow2Node node = await OpenAsync(crashed, NodeAccess.ReadOnly);
                node.AttachBacking(await OpenBaseAsync(crashed));
                Assert.True(node.Length == NewLength || (node.Length == OldLength && !(bool)state.Image.Observation!), $"the disk has {node.Length} bytes");
                byte[] found = new byte[node.Length];
                await node.ReadAsync(0, found);
                Assert.True(found.AsSpan(0, OldLength).SequenceEqual(below.AsSpan(0, OldLength)));
                Assert.True(found.AsSpan(OldLength).IndexOfAnyExcept((byte)0) < 0, "the new part shows the backing file");
                await AssertSoundAsync(node);
            },
            s_enumeration);
        CrashTable.Print("qcow2: growth over a longer backing file", recorder, states, "old or new length, the backing file hidden, no errors");
    }

    [Fact]
    public async Task A_disk_that_shrinks_and_grows_again_reads_zeroes_where_it_was_cut()
    {
        const int Length = 64 * ClusterSize;
        const int Cut = (30 * ClusterSize) + 100;
        var storage = new SimulatedStorageProvider();
        await CreateAsync(storage, new Qcow2CreateOptions { Length = Length, ClusterSize = ClusterSize });
        byte[] content = GuestStamp.Create(0, Length, writer: 6);
        CrashRecorder recorder;
        await using (Qcow2Node node = await OpenAsync(storage, NodeAccess.ReadWrite))
        {
            await node.WriteAsync(0, content);
            await node.FlushAsync();
            recorder = new CrashRecorder(storage);
            await node.ResizeAsync(Cut, new ResizeOptions { AllowShrink = true });
            await node.ResizeAsync(Length);
        }

        using (recorder)
        {
            long states = await CrashCheck.RunAsync(
                recorder,
                async (_, crashed) =>
                {
                    byte[] found = await ReadSoundAsync(crashed);
                    Assert.True(found.AsSpan(0, Cut).SequenceEqual(content.AsSpan(0, Cut)), "what was kept is gone");
                    for (int i = Cut; i < found.Length; i++)
                    {
                        Assert.True(found[i] == 0 || found[i] == content[i], $"byte {i} is neither old nor zero");
                    }
                },
                s_enumeration);
            CrashTable.Print("qcow2: shrinking and growing again", recorder, states, "what was kept, no errors");
            Assert.True((await ReadSoundAsync(storage)).AsSpan(Cut).IndexOfAnyExcept((byte)0) < 0, "what was cut off came back");
        }
    }

    [Fact]
    public async Task A_crash_leaves_the_old_backing_name_or_the_new_one()
    {
        var storage = new SimulatedStorageProvider();
        var first = new BackingReference("base", "raw");
        var second = new BackingReference("another/place/for-a-base", "qcow2");
        BackingReference?[] steps = [first, second, null];
        await CreateAsync(storage, new Qcow2CreateOptions { Length = 64 * 1024, ClusterSize = 4096, Backing = first });
        using var recorder = new CrashRecorder(storage);
        int done = 0;
        recorder.Observe = () => done;
        await using (Qcow2Node node = await OpenAsync(storage, NodeAccess.ReadWrite))
        {
            await node.RecordBackingAsync(second, CancellationToken.None);
            done = 1;
            await node.RecordBackingAsync(null, CancellationToken.None);
            done = 2;
        }

        long states = await CrashCheck.RunAsync(
            recorder,
            async (state, crashed) =>
            {
                int acknowledged = (int)state.Image.Observation!;
                await using Qcow2Node node = await OpenAsync(crashed, NodeAccess.ReadOnly);
                Assert.Contains(node.BackingReference, steps[acknowledged..Math.Min(acknowledged + 2, steps.Length)]);
                await AssertSoundAsync(node);
            },
            s_enumeration);
        CrashTable.Print("qcow2: another backing file, none", recorder, states, "old or new name, no errors");
    }

    [Theory]
    [InlineData("q7-snap.qcow2")]
    [InlineData("q7-zlibmix.qcow2")]
    [InlineData("q7-bitmap.qcow2")]
    [InlineData("q7-rc1.qcow2")]
    [InlineData("q7-v2.qcow2")]
    [InlineData("q11-zero.qcow2")]
    [InlineData("q7-extl2-16k.qcow2")]
    public async Task An_image_of_qemu_that_is_written_survives_any_crash(string name)
    {
        var storage = new SimulatedStorageProvider();
        storage.AddFile("disk", await File.ReadAllBytesAsync(GoldenImages.Get(name).Path));
        CrashRecorder recorder;
        await using (Qcow2Node node = await OpenAsync(storage, NodeAccess.ReadWrite))
        {
            byte[] initial = new byte[node.Length];
            await node.ReadAsync(0, initial);
            var oracle = new SectorOracle(node.Length, initial);
            recorder = new CrashRecorder(storage, oracle);
            var random = new Random(11);
            for (int i = 0; i < 14; i++)
            {
                int offset = random.Next((int)node.Length / 512) * 512;
                int length = Math.Min(512 * random.Next(1, 200), (int)node.Length - offset);
                if (i % 5 == 4)
                {
                    OracleWrite discard = oracle.BeginDiscard(offset, length);
                    await node.DiscardAsync(offset, length);
                    oracle.Complete(discard);
                    long flush = oracle.BeginFlush();
                    await node.FlushAsync();
                    oracle.CompleteFlush(flush);
                    continue;
                }

                byte[] data = new byte[length];
                OracleWrite write = oracle.BeginStampedWrite(offset, data);
                await node.WriteAsync(offset, data);
                oracle.Complete(write);
            }
        }

        using (recorder)
        {
            long states = await CrashCheck.RunAsync(
                recorder,
                async (state, crashed) => ((SectorOracle)state.Image.Observation!).Check(await ReadSoundAsync(crashed)),
                s_enumeration with { ExhaustiveLimit = 5, TornWrites = false });
            CrashTable.Print($"qcow2: guests on {name}", recorder, states, "flushed or later, no errors");
        }
    }

    [Fact]
    public async Task A_crash_while_refcounts_are_rebuilt_leaves_the_dirty_image_or_a_sound_one()
    {
        var storage = new SimulatedStorageProvider();
        storage.AddFile("disk", await File.ReadAllBytesAsync(GoldenImages.Get("q7-lazy-dirty.qcow2").Path));
        byte[] content;
        CrashRecorder recorder;
        await using (Qcow2Node node = await OpenAsync(storage, NodeAccess.ReadWrite))
        {
            content = new byte[node.Length];
            await node.ReadAsync(0, content);
            recorder = new CrashRecorder(storage);
            await node.WriteZeroesAsync(0, 65536);
        }

        using (recorder)
        {
            long states = await CrashCheck.RunAsync(
                recorder,
                async (_, crashed) =>
                {
                    await using Qcow2Node node = await OpenAsync(crashed, NodeAccess.ReadWrite);
                    byte[] found = new byte[node.Length];
                    await node.ReadAsync(0, found);
                    Assert.True(found.AsSpan(65536).SequenceEqual(content.AsSpan(65536)), "what nobody wrote has changed");
                    await node.WriteAsync(0, new byte[] { 1 });
                    await AssertSoundAsync(node);
                },
                s_enumeration);
            CrashTable.Print("qcow2: refcounts of a dirty image rebuilt", recorder, states, "the same disk, no errors");
        }
    }

    [Fact]
    public async Task A_crash_while_an_image_is_created_leaves_an_image_or_none()
    {
        var storage = new SimulatedStorageProvider();
        storage.AddFile("disk", []);
        using var recorder = new CrashRecorder(storage);
        await CreateAsync(storage, new Qcow2CreateOptions { Length = 1 << 20, ClusterSize = ClusterSize, Backing = new BackingReference(new string('b', 200), "raw") }, StorageOpenMode.OpenExisting);
        long images = 0;
        long states = await CrashCheck.RunAsync(
            recorder,
            async (_, crashed) =>
            {
                byte[] head = crashed.ReadFile("disk");
                if (Qcow2Format.Instance.Probe(head.AsSpan(0, Math.Min(head.Length, 512))))
                {
                    await using Qcow2Node node = await OpenAsync(crashed, NodeAccess.ReadOnly);
                    Assert.Equal(new string('b', 200), node.BackingReference!.Name);
                    await AssertSoundAsync(node);
                    images++;
                }
            },
            s_enumeration);
        CrashTable.Print("qcow2: create", recorder, states, "no image, or a whole one");
        Assert.True(images > 0, "no state had the image");
    }

    private static BlockEnvironment EnvironmentOf(StorageProvider files)
        => new() { Files = files, Work = InlineWorkScheduler.Instance, Time = TimeProvider.System };

    private static async ValueTask CreateAsync(SimulatedStorageProvider files, Qcow2CreateOptions options, StorageOpenMode mode = StorageOpenMode.CreateOrTruncate)
    {
        BlockStorage storage = await files.OpenAsync("disk", new StorageOpenOptions { Writable = true, Mode = mode }, CancellationToken.None);
        await using var file = new StorageNode(storage, EnvironmentOf(files));
        await Qcow2Format.Instance.CreateAsync(file, options, CancellationToken.None);
        await files.FlushDirectoryAsync("", CancellationToken.None);
    }

    private static async ValueTask<Qcow2Node> OpenAsync(SimulatedStorageProvider files, NodeAccess access)
    {
        BlockStorage storage = await files.OpenAsync("disk", new StorageOpenOptions { Writable = access == NodeAccess.ReadWrite }, CancellationToken.None);
        var context = new FormatOpenContext { NodeName = "disk", Access = access };
        return (Qcow2Node)await Qcow2Format.Instance.OpenAsync(new StorageNode(storage, EnvironmentOf(files)), context, CancellationToken.None);
    }

    private static async ValueTask<BlockNode> OpenBaseAsync(SimulatedStorageProvider files)
        => new RawNode("base", new StorageNode(await files.OpenAsync("base", new StorageOpenOptions(), CancellationToken.None), EnvironmentOf(files)), NodeAccess.ReadOnly);

    private static async ValueTask<byte[]> ReadSoundAsync(SimulatedStorageProvider files)
    {
        await using Qcow2Node node = await OpenAsync(files, NodeAccess.ReadOnly);
        byte[] found = new byte[node.Length];
        await node.ReadAsync(0, found);
        await AssertSoundAsync(node);
        return found;
    }

    private static async ValueTask AssertSoundAsync(Qcow2Node node)
    {
        ImageCheckReport report = await node.CheckAsync(progress: null, CancellationToken.None);
        Assert.True(report.Corruptions == 0, string.Join('\n', report.Findings));
    }
}
