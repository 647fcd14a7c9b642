using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Primitives;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.DataFile;

/// <summary>Images with an external data file, through the doors that users have: creator, opener, writer.</summary>
public sealed class DataFileTests
{
    private const int Length = 1_000_000; // ends inside a cluster

    private readonly MemoryStorageProvider _files = new();
    private readonly BlockEnvironment _environment;

    public DataFileTests() => _environment = TestEnvironment.Inline() with { Files = _files };

    [Theory]
    [InlineData("off")]
    [InlineData("on")]
    public async Task The_guests_bytes_are_in_the_data_file_at_their_guest_offsets_and_it_is_no_longer_than_the_disk(string raw)
    {
        await CreateAsync("d/disk", raw);
        byte[] model = new byte[Length];
        Pattern.Fill(model.AsSpan(0, 5000), 0, writer: 1);
        Pattern.Fill(model.AsSpan(Length - 3000), Length - 3000, writer: 2);
        await using (BlockNode disk = await OpenAsync("d/disk", NodeAccess.ReadWrite))
        {
            await disk.WriteAsync(0, model.AsMemory(0, 5000));
            await disk.WriteAsync(Length - 3000, model.AsMemory(Length - 3000));
            Assert.Equal("d/data", disk.GetChild(EdgeRole.Data)?.Path);
        }

        Assert.Equal(model, await ReadFileAsync("d/data"));
        await using BlockNode again = await OpenAsync("d/disk");
        Assert.Equal(model, await ReadAllAsync(again));
        ImageCheckReport report = await ImageChecker.CheckAsync(again);
        Assert.True(report is { Corruptions: 0, Leaks: 0 }, string.Join('\n', report.Findings));
    }

    [Fact]
    public async Task A_map_names_the_data_file_and_a_raw_one_is_mapped_whole()
    {
        await CreateAsync("d/disk", raw: "on");
        await using BlockNode disk = await OpenAsync("d/disk");
        MapExtent extent = Assert.Single(await ImageMapper.MapAsync(disk).ToListAsync());
        Assert.Equal((0, Length, 0, "d/data", true), (extent.Start, extent.Length, extent.HostOffset!.Value, extent.Path, extent.IsData));
    }

    [Fact]
    public async Task A_raw_data_file_stays_the_disk_whatever_is_done_to_it()
    {
        await CreateAsync("d/disk", raw: "on");
        byte[] model = new byte[Length];
        await using (BlockNode disk = await OpenAsync("d/disk", NodeAccess.ReadWrite))
        {
            Pattern.Fill(model, 0, writer: 3);
            await disk.WriteAsync(0, model);
            await disk.WriteZeroesAsync(70_000, 300_001, ZeroFlags.MayUnmap);
            model.AsSpan(70_000, 300_001).Clear();
            await disk.WriteZeroesAsync(400_000, 70_000);
            model.AsSpan(400_000, 70_000).Clear();
            await disk.DiscardAsync(500_000, 200_000);
            await disk.ReadAsync(0, model);
            Array.Resize(ref model, 1_500_000);
            await disk.ResizeAsync(model.Length);
            await disk.FlushAsync();
            Assert.Equal(model, await ReadFileAsync("d/data"));
            Array.Resize(ref model, 777_777);
            await disk.ResizeAsync(model.Length, new ResizeOptions { AllowShrink = true });
        }

        Assert.Equal(model, await ReadFileAsync("d/data"));
        await using BlockNode again = await OpenAsync("d/disk");
        Assert.Equal(model, await ReadAllAsync(again));
        Assert.Contains(new KeyValuePair<string, object>("data-file-raw", true), ImageInfo.Of(again).Details.Properties);
        Assert.Single(await ImageMapper.MapAsync(again).ToListAsync());
    }

    [Fact]
    public async Task A_disk_that_grows_does_not_show_what_a_longer_data_file_holds()
    {
        await CreateAsync("d/disk", raw: "on");
        await using (BlockStorage data = await _files.OpenAsync("d/data", new StorageOpenOptions { Writable = true }, CancellationToken.None))
        {
            await data.WriteAsync(Length, Pattern.Of(0, 100_000, writer: 4), CancellationToken.None);
        }

        await using BlockNode disk = await OpenAsync("d/disk", NodeAccess.ReadWrite);
        await disk.ResizeAsync(Length + 50_000);
        Assert.True(ZeroBytes.IsAllZero(await ReadAllAsync(disk)));
    }

    [Fact]
    public async Task A_data_file_that_is_too_short_reads_as_zeroes_and_is_lengthened_by_the_first_write()
    {
        await CreateAsync("d/disk", raw: "on");
        await using (BlockStorage data = await _files.OpenAsync("d/data", new StorageOpenOptions { Writable = true }, CancellationToken.None))
        {
            await data.SetLengthAsync(100, CancellationToken.None);
        }

        await using BlockNode disk = await OpenAsync("d/disk", NodeAccess.ReadWrite);
        Assert.True(ZeroBytes.IsAllZero(await ReadAllAsync(disk)));
        await disk.WriteAsync(Length - 10, new byte[] { 1, 2, 3 });
        byte[] found = new byte[10];
        await disk.ReadAsync(Length - 10, found);
        Assert.Equal([1, 2, 3, 0, 0, 0, 0, 0, 0, 0], found);
    }

    [Fact]
    public async Task Nothing_is_compressed_into_a_data_file()
    {
        await CreateAsync("d/disk");
        await using BlockNode disk = await OpenAsync("d/disk", NodeAccess.ReadWrite);
        BlockLayerException refused = await Assert.ThrowsAsync<BlockLayerException>(async () => await disk.WriteAsync(0, new byte[65536], WriteFlags.Compressed));
        Assert.Equal(BlockErrorKind.Unsupported, refused.Kind);
    }

    [Fact]
    public async Task A_raw_data_file_takes_no_backing_file()
    {
        await CreateAsync("d/disk", raw: "on");
        await using BlockNode disk = await OpenAsync("d/disk", NodeAccess.ReadWrite);
        BlockLayerException refused = Assert.Throws<BlockLayerException>(() => disk.ThrowIfCannotRecordBacking(new BackingReference("base", "raw")));
        Assert.Equal(BlockErrorKind.Unsupported, refused.Kind);
        Assert.Contains("raw external data file", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_image_converted_into_a_data_file_is_a_raw_disk_beside_its_image()
    {
        byte[] content = Pattern.Of(0, Length, writer: 5);
        await WriteFileAsync("d/source", content);
        var opener = new ImageOpener(BuiltInFormats.All, _environment);
        await using BlockNode source = await opener.OpenAsync("d/source", new ImageOpenOptions { Format = "raw" });
        var image = new NewImage { Format = "qcow2", Options = new Dictionary<string, string> { ["data_file"] = "data", ["data_file_raw"] = "on" } };
        await new ImageWriter(BuiltInFormats.All, _environment, OpenPolicy.Default).WriteNewAsync(source, "d/disk", image);
        Assert.Equal(content, await ReadFileAsync("d/data"));
        await using BlockNode disk = await OpenAsync("d/disk");
        Assert.Equal(content, await ReadAllAsync(disk));
    }

    [Theory]
    [InlineData("disk", "would be the image itself or a file below it")]
    [InlineData("base", "would be the image itself or a file below it")]
    public async Task An_image_is_not_created_over_its_own_files(string dataFile, string why)
    {
        byte[] content = Pattern.Of(0, 4096, writer: 6);
        await WriteFileAsync("d/base", content);
        var image = new NewImage { Format = "qcow2", Backing = new BackingReference("base", "raw"), Options = new Dictionary<string, string> { ["data_file"] = dataFile } };
        BlockLayerException refused = await Assert.ThrowsAsync<BlockLayerException>(async () => await Creator.CreateAsync("d/disk", image, OpenPolicy.Default));
        Assert.Equal(BlockErrorKind.InvalidFormat, refused.Kind);
        Assert.Contains(why, refused.Message, StringComparison.Ordinal);
        Assert.Equal(content, await ReadFileAsync("d/base"));
        Assert.Null(_files.GetInfo("d/disk"));
    }

    [Theory]
    [InlineData("data_file_raw=on", "data_file_raw=on needs data_file")]
    [InlineData("data_file=", "data_file is empty")]
    [InlineData("data_file=data,compat=0.10", "it needs compat=1.1")]
    public async Task Options_that_contradict_each_other_are_refused(string options, string why)
    {
        var image = new NewImage { Format = "qcow2", Length = 1 << 20, Options = options.Split(',').Select(pair => pair.Split('=')).ToDictionary(pair => pair[0], pair => pair[1]) };
        ArgumentException refused = await Assert.ThrowsAsync<ArgumentException>(async () => await Creator.CreateAsync("d/disk", image, OpenPolicy.Default));
        Assert.Contains(why, refused.Message, StringComparison.Ordinal);
        Assert.Null(_files.GetInfo("d/data"));
    }

    private ImageCreator Creator => new(BuiltInFormats.All, _environment);

    private async ValueTask CreateAsync(string path, string raw = "off")
    {
        var options = new Dictionary<string, string> { ["data_file"] = "data", ["data_file_raw"] = raw };
        await Creator.CreateAsync(path, new NewImage { Format = "qcow2", Length = Length, Options = options }, OpenPolicy.Default);
    }

    private ValueTask<BlockNode> OpenAsync(string path, NodeAccess access = NodeAccess.ReadOnly)
        => new ImageOpener(BuiltInFormats.All, _environment).OpenAsync(path, new ImageOpenOptions { Format = "qcow2", Access = access });

    private async ValueTask WriteFileAsync(string path, byte[] content)
    {
        var how = new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateOrTruncate };
        await using BlockStorage file = await _files.OpenAsync(path, how, CancellationToken.None);
        await file.WriteAsync(0, content, CancellationToken.None);
    }

    private async ValueTask<byte[]> ReadFileAsync(string path)
    {
        await using BlockStorage file = await _files.OpenAsync(path, new StorageOpenOptions(), CancellationToken.None);
        byte[] content = new byte[file.Length];
        await file.ReadAsync(0, content, CancellationToken.None);
        return content;
    }

    private static async ValueTask<byte[]> ReadAllAsync(BlockNode node)
    {
        byte[] content = new byte[node.Length];
        await node.ReadAsync(0, content);
        return content;
    }
}
