using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2;

/// <summary>What a write does to the file besides storing its data.</summary>
public sealed class Qcow2WriteTests
{
    private const int ClusterSize = 4096;

    private readonly TestWorld _world = new();

    [Fact]
    public async Task A_late_write_to_a_discarded_cluster_does_not_hit_what_is_stored_next()
        => Assert.True(await SurvivesLateWriteAsync(ClusterReusePolicy.Safe));

    [Fact]
    public async Task Without_quarantine_the_late_write_does_hit_what_is_stored_next()
        => Assert.False(await SurvivesLateWriteAsync(new AtOnce()), "the scenario no longer leads where it should");

    [Fact]
    public async Task A_discarded_cluster_is_used_again_once_it_is_safe()
    {
        await _world.CreateAsync("disk", new Qcow2CreateOptions { Length = 64 * ClusterSize, ClusterSize = ClusterSize });
        await using Qcow2Node node = await _world.OpenAsync("disk");
        await node.WriteAsync(0, new byte[8 * ClusterSize]);
        long length = node.File.Length;
        for (int round = 0; round < 20; round++)
        {
            await node.DiscardAsync(0, 8 * ClusterSize);
            await node.FlushAsync();
            await node.FlushAsync();
            await node.WriteAsync(0, Pattern.Of(0, 8 * ClusterSize, writer: round));
        }

        Assert.InRange(node.File.Length, length, length + (8 * ClusterSize));
    }

    [Fact]
    public async Task Discarded_room_goes_back_to_the_file_system()
    {
        await _world.CreateAsync("disk", new Qcow2CreateOptions { Length = 64 * ClusterSize, ClusterSize = ClusterSize });
        await using Qcow2Node node = await _world.OpenAsync("disk");
        await node.WriteAsync(0, Pattern.Of(0, 32 * ClusterSize, writer: 1));
        long used = _world.Files.UsedLength;

        await node.DiscardAsync(0, 16 * ClusterSize);
        await node.FlushAsync();
        await node.FlushAsync();
        await node.FlushAsync();

        Assert.InRange(_world.Files.UsedLength, 0, used - (15 * ClusterSize));
        byte[] kept = new byte[16 * ClusterSize];
        await node.ReadAsync(16 * ClusterSize, kept);
        Assert.Equal(Pattern.Of(16 * ClusterSize, kept.Length, writer: 1), kept);
    }

    [Fact]
    public async Task Opening_for_writing_and_closing_changes_nothing()
    {
        using var folder = new TemporaryFolder();
        string path = folder.File("copy.qcow2");
        File.Copy(GoldenImages.Get("q7-bitmap.qcow2").Path, path);
        byte[] before = await File.ReadAllBytesAsync(path);

        await using (BlockNode node = await OpenLocalAsync(path))
        {
            await node.ReadAsync(0, new byte[node.Length]);
            await node.FlushAsync();
        }

        Assert.Equal(before, await File.ReadAllBytesAsync(path));
    }

    [Fact]
    public async Task The_first_write_gives_up_what_it_does_not_maintain_and_keeps_what_it_does()
    {
        const AutoclearFeatures Unknown = (AutoclearFeatures)(1UL << 40);
        using var folder = new TemporaryFolder();
        string path = folder.File("copy.qcow2");
        byte[] file = await File.ReadAllBytesAsync(GoldenImages.Get("q7-bitmap.qcow2").Path);
        (Qcow2Header.Parse(file) with { Autoclear = AutoclearFeatures.Bitmaps | Unknown }).WriteTo(file);
        await File.WriteAllBytesAsync(path, file);

        await using (BlockNode node = await OpenLocalAsync(path))
        {
            await node.WriteAsync(0, new byte[] { 1 });
        }

        Qcow2Header header = Qcow2Header.Parse(await File.ReadAllBytesAsync(path));
        Assert.Equal(AutoclearFeatures.Bitmaps, header.Autoclear);
        Assert.NotNull(header.Extensions.Find(HeaderExtensionType.Bitmaps));
    }

    [Fact]
    public async Task A_discard_never_shows_the_backing_file()
    {
        foreach (int version in new[] { 2, 3 })
        {
            byte[] below = Pattern.Of(0, 16 * ClusterSize, writer: 50);
            var options = new Qcow2CreateOptions { Length = below.Length, ClusterSize = ClusterSize, Version = version, Backing = new BackingReference("base", "raw") };
            await _world.CreateAsync("disk", options);
            await using Qcow2Node node = await _world.OpenAsync("disk");
            node.AttachBacking(await _world.CreateRawAsync("base", below));
            byte[] written = Pattern.Of(0, 4 * ClusterSize, writer: 1);
            await node.WriteAsync(0, written);

            await node.DiscardAsync(0, 2 * ClusterSize);

            byte[] found = new byte[2 * ClusterSize];
            await node.ReadAsync(0, found);
            Assert.Equal(version == 3 ? new byte[2 * ClusterSize] : written[..(2 * ClusterSize)], found);
        }
    }

    [Fact]
    public async Task A_full_file_system_fails_the_write_keeps_the_old_data_and_goes_on_after_a_discard()
    {
        var world = new TestWorld(capacity: 64 * ClusterSize);
        await world.CreateAsync("disk", new Qcow2CreateOptions { Length = 128 * ClusterSize, ClusterSize = ClusterSize });
        await using Qcow2Node node = await world.OpenAsync("disk");
        int written = 0;
        BlockLayerException? full = null;
        while (full is null)
        {
            try
            {
                await node.WriteAsync(written * ClusterSize, Pattern.Of(written * ClusterSize, ClusterSize, writer: 1));
                written++;
            }
            catch (BlockLayerException error)
            {
                full = error;
            }
        }

        Assert.Equal(BlockErrorKind.NoSpace, full.Kind);
        byte[] found = new byte[written * ClusterSize];
        await node.ReadAsync(0, found);
        Assert.Equal(Pattern.Of(0, found.Length, writer: 1), found);

        await node.DiscardAsync(0, 4 * ClusterSize);
        await node.FlushAsync();
        await node.FlushAsync();
        await node.WriteAsync(100 * ClusterSize, Pattern.Of(100 * ClusterSize, ClusterSize, writer: 2));
        ImageCheckReport report = await ImageChecker.CheckAsync(node);
        Assert.True(report is { Corruptions: 0, Leaks: 0 }, string.Join('\n', report.Findings));
    }

    [Theory]
    [InlineData(512, 64, 40 << 20)]
    [InlineData(512, 1, 24 << 20)]
    [InlineData(1024, 32, 60 << 20)]
    public async Task Tables_grow_with_the_disk_and_stay_sound(int clusterSize, int refcountBits, int length)
    {
        await _world.CreateAsync("disk", new Qcow2CreateOptions { Length = 1 << 20, ClusterSize = clusterSize, RefcountBits = refcountBits });
        await using Qcow2Node node = await _world.OpenAsync("disk");
        uint tableBefore = node.Header.RefcountTableClusters;
        uint l1Before = node.Header.L1Size;
        await node.ResizeAsync(length);
        const int Piece = 1 << 20;
        byte[] data = Pattern.Of(0, Piece, writer: 1);
        for (int at = 0; at < length; at += Piece)
        {
            await node.WriteAsync(at, data);
        }

        Assert.True(node.Header.L1Size > l1Before, "the L1 table did not have to grow");
        Assert.True(node.Header.RefcountTableClusters > tableBefore || refcountBits == 1, "the refcount table did not have to grow");
        byte[] found = new byte[Piece];
        for (int at = 0; at < length; at += Piece)
        {
            await node.ReadAsync(at, found);
            Assert.True(found.AsSpan().SequenceEqual(data), $"the megabyte at {at} is not what was written");
        }

        ImageCheckReport report = await ImageChecker.CheckAsync(node);
        Assert.True(report is { Corruptions: 0, Leaks: 0 }, string.Join('\n', report.Findings));
    }

    [Theory]
    [InlineData(1024, false)]
    [InlineData(64 * 1024, true)]
    public async Task Threads_at_the_same_time_leave_what_each_of_them_wrote(int clusterSize, bool extended)
    {
        const int Threads = 4;
        const int Share = 256 * 1024;
        await _world.CreateAsync("disk", new Qcow2CreateOptions { Length = Threads * Share, ClusterSize = clusterSize, ExtendedL2 = extended });
        await using Qcow2Node node = await _world.OpenAsync("disk", options: new Qcow2OpenOptions { TableCacheLength = 16 * 1024 });
        byte[][] models = new byte[Threads][];
        await Task.WhenAll(Enumerable.Range(0, Threads).Select(thread => Task.Run(async () =>
        {
            var random = new Random(thread);
            byte[] model = models[thread] = new byte[Share];
            for (int i = 1; i <= 1500; i++)
            {
                int offset = random.Next(Share);
                int length = random.Next(1, Math.Min(6000, Share - offset) + 1);
                long at = (thread * Share) + offset;
                switch (random.Next(8))
                {
                    case 0:
                        model.AsSpan(offset, length).Clear();
                        await node.WriteZeroesAsync(at, length, ZeroFlags.MayUnmap);
                        break;
                    case 1:
                        await node.DiscardAsync(at, length);
                        await node.ReadAsync(at, model.AsMemory(offset, length));
                        break;
                    case 2:
                        await node.FlushAsync();
                        break;
                    case 3:
                        byte[] found = new byte[length];
                        await node.ReadAsync(at, found);
                        Assert.True(found.AsSpan().SequenceEqual(model.AsSpan(offset, length)), $"thread {thread} does not read what it wrote");
                        break;
                    default:
                        Pattern.Fill(model.AsSpan(offset, length), at, writer: i);
                        await node.WriteAsync(at, model.AsMemory(offset, length));
                        break;
                }
            }
        })));

        byte[] all = new byte[Threads * Share];
        await node.ReadAsync(0, all);
        Assert.True(all.AsSpan().SequenceEqual(models.SelectMany(static model => model).ToArray()));
        ImageCheckReport report = await ImageChecker.CheckAsync(node);
        Assert.True(report is { Corruptions: 0, Leaks: 0 }, string.Join('\n', report.Findings));
    }

    /// <summary>
    /// cloud-hypervisor #8624: (1) a slow overwrite is on its way to a cluster, (2) the cluster is discarded, (3) a flush makes that durable, (4) new data needs clusters and
    /// new L2 tables, (5) the slow overwrite lands, (6) the new data is read through whatever it hit.
    /// </summary>
    private async ValueTask<bool> SurvivesLateWriteAsync(ClusterReusePolicy policy)
    {
        const int Reach = ClusterSize / 8 * ClusterSize; // of one L2 table
        await _world.CreateAsync("disk", new Qcow2CreateOptions { Length = 3 * Reach, ClusterSize = ClusterSize });
        var gate = new GatedFileNode(await _world.OpenFileAsync("disk"));
        var format = new Qcow2Format(new Qcow2OpenOptions { ReusePolicy = policy });
        await using BlockNode node = await format.OpenAsync(
            gate, new FormatOpenContext { NodeName = "disk", Access = NodeAccess.ReadWrite }, CancellationToken.None);
        await node.WriteAsync(0, Pattern.Of(0, ClusterSize, writer: 1));
        await node.WriteAsync(0, Pattern.Of(0, 512, writer: 1)); // now the cluster is known to be ours alone
        BlockStatus stored = await node.GetStatusAsync(0, 1, StatusDepth.Node);

        gate.HoldWriteTo(stored.HostOffset);
        Task late = node.WriteAsync(0, Pattern.Of(0, ClusterSize, writer: 2)).AsTask();
        await gate.Arrived;
        await node.DiscardAsync(0, ClusterSize);
        await node.FlushAsync();
        for (int table = 1; table <= 2; table++)
        {
            await node.WriteAsync(table * Reach, Pattern.Of(table * Reach, ClusterSize, writer: 3));
            await node.FlushAsync();
        }

        gate.LetGo();
        await late;

        bool survives = true;
        for (int table = 1; table <= 2; table++)
        {
            byte[] found = new byte[ClusterSize];
            await node.ReadAsync(table * Reach, found);
            survives &= found.AsSpan().SequenceEqual(Pattern.Of(table * Reach, ClusterSize, writer: 3));
        }

        ImageCheckReport report = await ImageChecker.CheckAsync(node);
        return survives && report is { Corruptions: 0, Leaks: 0 };
    }

    private static async ValueTask<BlockNode> OpenLocalAsync(string path)
        => await new ImageOpener(BuiltInFormats.All, BlockEnvironment.Default).OpenAsync(path, new ImageOpenOptions { Format = "qcow2", Access = NodeAccess.ReadWrite });

    /// <summary>The mistake that the quarantine is there to prevent.</summary>
    private sealed class AtOnce : ClusterReusePolicy
    {
        internal override bool MayReuse(ReleasedRun released, long durableDrop, long epoch) => true;
    }
}
