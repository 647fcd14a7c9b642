using System.Buffers.Binary;
using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Snapshots;

public sealed class SnapshotTests
{
    private const int ClusterSize = 4096;
    private const int Length = 64 * ClusterSize;

    private readonly TestWorld _world = new();

    [Fact]
    public async Task What_a_snapshot_shares_is_copied_before_it_changes()
    {
        await using Qcow2Node node = await CreateAsync();
        byte[] before = await FillAsync(node, writer: 1);
        SnapshotInfo made = await ImageSnapshots.CreateAsync(node, "one");
        Assert.Equal(("1", "one", (long)Length, 0UL), (made.Id, made.Name, made.DiskSize, made.VmStateSize));
        byte[] after = await FillAsync(node, writer: 2);
        Assert.Equal(before, await ReadSnapshotAsync("one"));
        Assert.Equal(after, await ReadAsync(node));
        await AssertSoundAsync(node);
    }

    [Fact]
    public async Task What_only_a_deleted_snapshot_used_is_used_again()
    {
        await using Qcow2Node node = await CreateAsync();
        await FillAsync(node, writer: 1);
        await node.CreateSnapshotAsync("one", CancellationToken.None);
        await FillAsync(node, writer: 2);
        await node.FlushAsync();
        long length = node.File.Length;
        await node.DeleteSnapshotAsync("one", CancellationToken.None);
        Assert.Empty(await ImageSnapshots.ListAsync(node));
        await node.CreateSnapshotAsync("two", CancellationToken.None);
        await FillAsync(node, writer: 3);
        await node.FlushAsync();
        Assert.InRange(node.File.Length, ClusterSize, length + (16 * ClusterSize)); // old and new tables exist side by side for a moment
        await AssertSoundAsync(node);
    }

    [Fact]
    public async Task An_applied_snapshot_brings_its_size_back_and_can_be_applied_again()
    {
        await using Qcow2Node node = await CreateAsync();
        byte[] before = await FillAsync(node, writer: 1);
        await node.CreateSnapshotAsync("one", CancellationToken.None);
        for (int round = 0; round < 2; round++)
        {
            await node.ResizeAsync(3 * Length);
            await node.WriteAsync(2 * Length, before);
            await node.ApplySnapshotAsync("one", CancellationToken.None);
            Assert.Equal(before, await ReadAsync(node));
            await FillAsync(node, writer: 2 + round);
        }

        await node.ResizeAsync(3 * Length);
        byte[] grown = await ReadAsync(node);
        Assert.True(grown.AsSpan(Length).IndexOfAnyExcept((byte)0) < 0, "what lay behind the end came back");
        await AssertSoundAsync(node);
    }

    [Fact]
    public async Task A_filter_above_shows_the_size_of_an_applied_snapshot()
    {
        Qcow2Node node = await CreateAsync();
        await using var root = new PassThroughNode(node, ImagePermissions.ConsistentRead | ImagePermissions.Write | ImagePermissions.Resize, ImagePermissions.All);
        await node.CreateSnapshotAsync("one", CancellationToken.None);
        await root.ResizeAsync(2 * Length);
        await ImageSnapshots.ApplyAsync(root, "one");
        Assert.Equal(Length, root.Length);
    }

    [Fact]
    public async Task Names_need_not_be_unique_and_ids_come_first()
    {
        await using Qcow2Node node = await CreateAsync();
        foreach (string name in new[] { "same", "same", "", "2", "ü" })
        {
            await node.CreateSnapshotAsync(name, CancellationToken.None);
        }

        BlockLayerException ambiguous = await Assert.ThrowsAsync<BlockLayerException>(() => node.DeleteSnapshotAsync("2", CancellationToken.None).AsTask());
        Assert.Equal(BlockErrorKind.NotFound, ambiguous.Kind);
        Assert.StartsWith("'2' is the id of snapshot 'same' and the name of the one with id 4;", ambiguous.Message, StringComparison.Ordinal);
        await node.DeleteSnapshotAsync("same", CancellationToken.None);
        await node.DeleteSnapshotAsync("ü", CancellationToken.None);
        Assert.Equal([("2", "same"), ("3", ""), ("4", "2")], (await ImageSnapshots.ListAsync(node)).Select(static snapshot => (snapshot.Id, snapshot.Name)));
        Assert.Equal("5", (await ImageSnapshots.CreateAsync(node, "x")).Id);
    }

    [Fact]
    public async Task A_name_that_QEMU_would_cut_off_is_refused()
    {
        await using Qcow2Node node = await CreateAsync();
        await Assert.ThrowsAsync<ArgumentException>(() => node.CreateSnapshotAsync(new string('ü', 128), CancellationToken.None).AsTask());
        await Assert.ThrowsAsync<ArgumentException>(() => node.CreateSnapshotAsync("a\0b", CancellationToken.None).AsTask());
        Assert.Empty(await ImageSnapshots.ListAsync(node));
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 3)]
    public async Task Refcounts_that_are_too_narrow_refuse_another_snapshot_and_lose_nothing(int refcountBits, int maximum)
    {
        await using Qcow2Node node = await CreateAsync(new Qcow2CreateOptions { Length = Length, ClusterSize = ClusterSize, RefcountBits = refcountBits });
        byte[] content = await FillAsync(node, writer: 1);
        for (int snapshot = 1; snapshot < maximum; snapshot++)
        {
            await node.CreateSnapshotAsync($"{snapshot}", CancellationToken.None);
        }

        BlockLayerException refused = await Assert.ThrowsAsync<BlockLayerException>(() => node.CreateSnapshotAsync("more", CancellationToken.None).AsTask());
        Assert.Equal(BlockErrorKind.Unsupported, refused.Kind);
        Assert.Contains($"would be referred to {maximum + 1} times, and refcounts of {refcountBits} bits count to {maximum}", refused.Message, StringComparison.Ordinal);
        Assert.Equal(content, await ReadAsync(node));
        await FillAsync(node, writer: 2);
        await AssertSoundAsync(node);
    }

    [Fact]
    public async Task Extra_data_that_nobody_knows_is_kept()
    {
        await using Qcow2Node node = await CreateAsync();
        await node.CreateSnapshotAsync("one", CancellationToken.None);
        SnapshotTable table = await LoadTableAsync(node);
        byte[] known = table.Entries[0].Raw.ToArray();
        byte[] unknown = [.. known[..64], .. "from the future!"u8, .. known[64..]];
        BinaryPrimitives.WriteUInt32BigEndian(unknown.AsSpan(36), 24 + 16);
        await DamageAsync(node.Header.SnapshotsOffset.Value, unknown);

        await node.CreateSnapshotAsync("two", CancellationToken.None);
        await node.ApplySnapshotAsync("one", CancellationToken.None);
        await node.DeleteSnapshotAsync("two", CancellationToken.None);
        Assert.Equal(unknown, Assert.Single((await LoadTableAsync(node)).Entries).Raw.ToArray());
    }

    [Fact]
    public async Task An_image_opened_for_reading_shows_its_snapshots_and_refuses_to_change_them()
    {
        await using (Qcow2Node writable = await CreateAsync())
        {
            await writable.CreateSnapshotAsync("one", CancellationToken.None);
        }

        await using Qcow2Node node = await _world.OpenAsync("disk", NodeAccess.ReadOnly);
        Assert.Equal("one", Assert.Single(await ImageSnapshots.ListAsync(node)).Name);
        BlockLayerException refused = await Assert.ThrowsAsync<BlockLayerException>(() => node.DeleteSnapshotAsync("one", CancellationToken.None).AsTask());
        Assert.Equal(BlockErrorKind.ReadOnly, refused.Kind);
    }

    [Fact]
    public async Task A_job_that_works_with_the_image_keeps_its_snapshots_as_they_are()
    {
        await using Qcow2Node node = await CreateAsync();
        using (ChainClaim.Take(node, node, "a job"))
        {
            BlockLayerException refused = await Assert.ThrowsAsync<BlockLayerException>(() => node.CreateSnapshotAsync("one", CancellationToken.None).AsTask());
            Assert.Equal(BlockErrorKind.Conflict, refused.Kind);
        }

        await node.CreateSnapshotAsync("one", CancellationToken.None);
    }

    [Theory]
    [InlineData("q7-snap.qcow2")]
    [InlineData("q11-snap.qcow2")]
    public async Task Snapshots_of_QEMU_are_applied_and_deleted(string name)
    {
        await using (StorageNode file = await _world.OpenFileAsync("disk", StorageOpenMode.CreateOrTruncate))
        {
            byte[] image = await File.ReadAllBytesAsync(GoldenImages.Get(name).Path);
            await file.ResizeAsync(image.Length);
            await file.WriteAsync(0, image);
        }

        byte[] first = await ReadSnapshotAsync("1");
        byte[] second = await ReadSnapshotAsync("2");
        Assert.NotEqual(first, second);
        await using Qcow2Node node = await _world.OpenAsync("disk");
        await node.ApplySnapshotAsync("1", CancellationToken.None);
        Assert.Equal(first, await ReadAsync(node));
        await node.DeleteSnapshotAsync("1", CancellationToken.None);
        await node.ApplySnapshotAsync("2", CancellationToken.None);
        Assert.Equal(second, await ReadAsync(node));
        await node.DeleteSnapshotAsync("2", CancellationToken.None);
        await AssertSoundAsync(node);
    }

    [Fact]
    public async Task A_snapshot_that_claims_more_than_its_table_can_map_is_refused()
    {
        await using Qcow2Node node = await CreateAsync();
        await node.CreateSnapshotAsync("one", CancellationToken.None);
        byte[] size = new byte[8];
        BinaryPrimitives.WriteInt64BigEndian(size, long.MaxValue);
        await DamageAsync(node.Header.SnapshotsOffset.Value + 48, size);
        ImageFormatException shown = await Assert.ThrowsAsync<ImageFormatException>(() => ReadSnapshotAsync("one"));
        Assert.Equal(BlockErrorKind.InvalidFormat, shown.Kind);
        ImageFormatException applied = await Assert.ThrowsAsync<ImageFormatException>(() => node.ApplySnapshotAsync("one", CancellationToken.None).AsTask());
        Assert.Equal(BlockErrorKind.InvalidFormat, applied.Kind);
        await node.DeleteSnapshotAsync("one", CancellationToken.None);
        await AssertSoundAsync(node);
    }

    [Fact]
    public async Task Tables_that_contradict_the_refcounts_are_never_exchanged()
    {
        await using Qcow2Node node = await CreateAsync();
        byte[] content = await FillAsync(node, writer: 1);
        await node.CreateSnapshotAsync("one", CancellationToken.None);
        SnapshotEntry snapshot = (await LoadTableAsync(node)).Entries[0];
        byte[] word = new byte[8];
        await node.File.ReadAsync(snapshot.L1TableOffset.Value, word);
        var entry = new L1Entry(BinaryPrimitives.ReadUInt64BigEndian(word));
        byte[] loop = new byte[ClusterSize];
        for (int at = 0; at < ClusterSize; at += 8)
        {
            word.CopyTo(loop, at); // every guest cluster of the snapshot would be its own L2 table
        }

        await DamageAsync(entry.L2Table.Value, loop);
        ImageFormatException refused = await Assert.ThrowsAsync<ImageFormatException>(() => node.DeleteSnapshotAsync("one", CancellationToken.None).AsTask());
        Assert.Equal(BlockErrorKind.Corrupt, refused.Kind);
        Assert.True(node.Header.HasFeature(IncompatibleFeatures.Corrupt));
        Assert.Equal(1u, node.Header.SnapshotCount);
        Assert.Equal(Length, content.Length);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_refcount_that_forgets_the_snapshot_costs_nobody_a_cluster(bool deletes)
    {
        byte[] content;
        await using (Qcow2Node writer = await CreateAsync())
        {
            content = await FillAsync(writer, writer: 1);
            await writer.CreateSnapshotAsync("one", CancellationToken.None);
            BlockStatus status = await writer.GetStatusAsync(0, ClusterSize, StatusDepth.Node);
            byte[] block = new byte[8];
            await writer.File.ReadAsync(writer.Header.RefcountTableOffset.Value, block);
            await DamageAsync(BinaryPrimitives.ReadInt64BigEndian(block) + (status.HostOffset / ClusterSize * 2), [0, 1]);
        }

        await using Qcow2Node node = await _world.OpenAsync("disk");
        ValueTask change = deletes ? node.DeleteSnapshotAsync("one", CancellationToken.None) : node.ApplySnapshotAsync("one", CancellationToken.None);
        ImageFormatException refused = await Assert.ThrowsAsync<ImageFormatException>(() => change.AsTask());
        Assert.Equal(BlockErrorKind.Corrupt, refused.Kind);
        Assert.Equal(content, await ReadAsync(node));
        Assert.Equal(content, await ReadSnapshotAsync("one"));
    }

    // A refcount block for the last clusters that the longest table reaches, at a place in a small file: who looked at all clusters up to there would not come back.
    [Theory]
    [InlineData(64 << 10)]
    [InlineData(2 << 20)]
    public async Task A_refcount_far_behind_the_file_costs_no_time_and_no_memory(int clusterSize)
    {
        const int TableLength = 8 << 20;
        long table = 16L * clusterSize;
        long block = table + TableLength;
        await _world.CreateAsync("disk", new Qcow2CreateOptions { Length = 16L * clusterSize, ClusterSize = clusterSize, RefcountBits = 1 });
        await using (StorageNode file = await _world.OpenFileAsync("disk"))
        {
            byte[] header = new byte[104];
            await file.ReadAsync(0, header);
            byte[] word = new byte[8];
            await file.ReadAsync(BinaryPrimitives.ReadInt64BigEndian(header.AsSpan(48)), word);
            await file.ResizeAsync(block + clusterSize);
            await file.WriteAsync(table, word);
            byte[] taken = new byte[64];
            taken.AsSpan().Fill(0xff);
            await file.WriteAsync(BinaryPrimitives.ReadInt64BigEndian(word), taken);
            BinaryPrimitives.WriteInt64BigEndian(word, block);
            await file.WriteAsync(block - 8, word);
            await file.WriteAsync(block + clusterSize - 1, new byte[] { 0x80 });
            BinaryPrimitives.WriteInt64BigEndian(header.AsSpan(48), table);
            BinaryPrimitives.WriteInt32BigEndian(header.AsSpan(56), TableLength / clusterSize);
            await file.WriteAsync(0, header);
        }

        await using Qcow2Node node = await _world.OpenAsync("disk");
        long before = GC.GetAllocatedBytesForCurrentThread();
        await node.CreateSnapshotAsync("one", CancellationToken.None);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 1, 128 << 20); // tables of 8 MiB several times; a list up to there is as much alone
        Assert.Single(await ImageSnapshots.ListAsync(node));
    }

    private async Task<Qcow2Node> CreateAsync(Qcow2CreateOptions? options = null)
    {
        await _world.CreateAsync("disk", options ?? new Qcow2CreateOptions { Length = Length, ClusterSize = ClusterSize });
        return await _world.OpenAsync("disk");
    }

    private async Task DamageAsync(long position, byte[] bytes)
    {
        await using StorageNode file = await _world.OpenFileAsync("disk");
        await file.WriteAsync(position, bytes);
    }

    private static async Task<byte[]> FillAsync(Qcow2Node node, int writer)
    {
        byte[] content = Pattern.Of(0, (int)node.Length, writer);
        await node.WriteAsync(0, content);
        return content;
    }

    private async Task<byte[]> ReadSnapshotAsync(string name)
    {
        await using Qcow2Node shown = await _world.OpenSnapshotAsync("disk", name);
        return await ReadAsync(shown);
    }

    private static async Task<byte[]> ReadAsync(BlockNode node)
    {
        byte[] found = new byte[node.Length];
        await node.ReadAsync(0, found);
        return found;
    }

    private static async Task<SnapshotTable> LoadTableAsync(Qcow2Node node)
    {
        byte[] file = new byte[node.File.Length];
        await node.File.ReadAsync(0, file);
        return await SnapshotTableLoader.LoadAsync(new MetadataBytes(file), node.Header, CancellationToken.None);
    }

    private static async Task AssertSoundAsync(Qcow2Node node)
    {
        ImageCheckReport report = await node.CheckAsync(progress: null, CancellationToken.None);
        Assert.True(report is { Corruptions: 0, Leaks: 0 }, string.Join('\n', report.Findings));
    }
}
