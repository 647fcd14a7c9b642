using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Formats.Qcow2;
using BlockLayer.Tests.Formats.Qcow2;
using Xunit;

namespace BlockLayer.Tests.Images.Hostile.Structures;

/// <summary>The corpus' 2.21 and 2.22: damage that shows while a write is in flight, and files that others change while they are open here.</summary>
public sealed class MovingImageTests
{
    private const int Cluster = 4096;
    private const int Length = 64 * Cluster;
    private const ulong Copied = 1UL << 63;

    private readonly TestWorld _world = new();

    [Fact]
    [CorpusCase("2.21 overlap that shows while a copy is in flight")]
    public async Task Overlap_that_shows_while_a_copy_is_in_flight_keeps_the_write_from_becoming_durable()
    {
        byte[] before = await CreateAsync(static image => image.Write(image.DataEntry(3), Copied | (ulong)image.L1));
        var gate = new GatedFileNode(await _world.OpenFileAsync("disk"));
        await using BlockNode node = await Qcow2Format.Instance.OpenAsync(
            gate, new FormatOpenContext { NodeName = "disk", Access = NodeAccess.ReadWrite }, CancellationToken.None);
        gate.HoldWriteTo(before.Length + 100); // the first free cluster, and nothing around the write needs filling
        Task copy = node.WriteAsync((40 * Cluster) + 100, new byte[] { 1 }).AsTask();
        await gate.Arrived;
        BlockLayerException overlap = await Assert.ThrowsAnyAsync<BlockLayerException>(async () => await node.WriteAsync(3 * Cluster, new byte[Cluster]));
        gate.LetGo();
        await copy;
        BlockLayerException refused = await Assert.ThrowsAnyAsync<BlockLayerException>(async () => await node.FlushAsync());
        Assert.Equal((BlockErrorKind.Corrupt, BlockErrorKind.Corrupt), (overlap.Kind, refused.Kind));

        byte[] after = await ReadFileAsync();
        Assert.True(Qcow2Header.Parse(after).HasFeature(IncompatibleFeatures.Corrupt));
        Assert.Equal(before.AsSpan(512), after.AsSpan(512, before.Length - 512));
    }

    [Fact]
    [CorpusCase("2.21 copy into metadata that is counted as free")]
    public async Task A_copy_is_not_made_into_metadata_that_is_counted_as_free()
    {
        byte[] before = await CreateAsync(static image =>
        {
            RefcountBlock counts = new(image.File.AsSpan((int)image.RefcountBlock, Cluster), image.Geometry.RefcountOrder);
            counts[(int)(image.L2 / Cluster)] = 0;
        });
        await using (Qcow2Node node = await _world.OpenAsync("disk"))
        {
            BlockLayerException refused = await Assert.ThrowsAnyAsync<BlockLayerException>(async () => await node.WriteAsync((40 * Cluster) + 100, new byte[] { 1 }));
            Assert.Equal(BlockErrorKind.Corrupt, refused.Kind);
        }

        byte[] after = await ReadFileAsync();
        Assert.Equal(before.AsSpan(512), after.AsSpan(512));
    }

    [Fact]
    [CorpusCase("2.22 file cut")]
    public async Task A_file_that_is_cut_under_a_reader_fails_what_is_gone_and_nothing_else()
    {
        byte[] before = await CreateAsync(static _ => { });
        await using Qcow2Node node = await _world.OpenAsync("disk", NodeAccess.ReadOnly);
        await node.ReadAsync(0, new byte[1]);
        await using (StorageNode file = await _world.OpenFileAsync("disk"))
        {
            await file.ResizeAsync(before.Length - (2 * Cluster), new ResizeOptions { AllowShrink = true });
        }

        byte[] found = new byte[Cluster];
        for (int cluster = 0; cluster < 4; cluster++)
        {
            await node.ReadAsync(cluster * Cluster, found);
            Assert.Equal(Pattern.Of(cluster * Cluster, Cluster, writer: 1), found);
        }

        for (int cluster = 4; cluster < 6; cluster++)
        {
            long gone = cluster * Cluster;
            await Assert.ThrowsAnyAsync<BlockLayerException>(async () => await node.ReadAsync(gone, found));
        }
    }

    [Fact]
    [CorpusCase("2.22 file replaced by rename")]
    public async Task A_file_that_is_replaced_under_a_reader_is_read_as_it_was()
    {
        await CreateAsync(static _ => { });
        await using Qcow2Node node = await _world.OpenAsync("disk", NodeAccess.ReadOnly);
        await _world.CreateAsync("other", new Qcow2CreateOptions { Length = 512, ClusterSize = Cluster });
        await _world.Files.RenameAsync("other", "disk", CancellationToken.None);
        byte[] found = new byte[6 * Cluster];
        await node.ReadAsync(0, found);
        Assert.Equal(Pattern.Of(0, 6 * Cluster, writer: 1), found);
        Assert.Equal(Length, node.Length);
    }

    [Fact]
    [CorpusCase("2.22 second writer")]
    public async Task A_second_writer_is_refused()
    {
        await CreateAsync(static _ => { });
        var opener = new ImageOpener(BuiltInFormats.All, _world.Environment);
        var write = new ImageOpenOptions { Format = "qcow2", Access = NodeAccess.ReadWrite };
        await using BlockNode first = await opener.OpenAsync("disk", write);
        BlockLayerException refused = await Assert.ThrowsAnyAsync<BlockLayerException>(async () => await opener.OpenAsync("disk", write));
        Assert.Equal(BlockErrorKind.Conflict, refused.Kind);
    }

    /// <summary>Six clusters of data at the end of the file, then the damage.</summary>
    private async Task<byte[]> CreateAsync(Action<DamagedImage> spoil)
    {
        await _world.CreateAsync("disk", new Qcow2CreateOptions { Length = Length, ClusterSize = Cluster });
        await using (Qcow2Node node = await _world.OpenAsync("disk"))
        {
            await node.WriteAsync(0, Pattern.Of(0, 6 * Cluster, writer: 1));
        }

        var image = new DamagedImage(await ReadFileAsync());
        spoil(image);
        await using StorageNode file = await _world.OpenFileAsync("disk");
        await file.WriteAsync(0, image.File);
        return image.File;
    }

    private async Task<byte[]> ReadFileAsync()
    {
        await using StorageNode file = await _world.OpenFileAsync("disk");
        byte[] bytes = new byte[file.Length];
        await file.ReadAsync(0, bytes);
        return bytes;
    }
}
