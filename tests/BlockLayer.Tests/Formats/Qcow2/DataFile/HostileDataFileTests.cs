using System.Buffers.Binary;
using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.DataFile;

/// <summary>Names of data files that a stranger wrote, bits that do not go together, and entries that lead elsewhere.</summary>
public sealed class HostileDataFileTests : IDisposable
{
    private const int ClusterSize = 512;

    private readonly WatchedFiles _files = new(new MemoryStorageProvider());
    private readonly BlockEnvironment _environment;

    public HostileDataFileTests() => _environment = TestEnvironment.Inline() with { Files = _files };

    public void Dispose()
    {
        Assert.Equal(0, _files.Open);
        Assert.Equal(0, _environment.Buffers.Outstanding);
    }

    [Theory]
    [InlineData("../outside", "It lies in '/', outside '/d'; allow that directory to open it.")]
    [InlineData("/etc/passwd", "It lies in '/etc', outside '/d'; allow that directory to open it.")]
    [InlineData("json:{\"driver\":\"file\"}", "Only plain file names are opened, no 'json:' references.")]
    [InlineData("nbd://host/export", "Only plain file names are opened, no 'nbd:' references.")]
    [InlineData("sub", "'d/sub' is not a regular file.")]
    public async Task A_name_that_the_policy_does_not_allow_is_denied_and_nothing_else_was_opened(string name, string why)
    {
        await WriteFileAsync("d/sub/file");
        await CreateAsync("d/disk", name);
        OpenDeniedException denied = await Assert.ThrowsAsync<OpenDeniedException>(async () => await OpenAsync("d/disk"));
        Assert.Equal($"'d/disk' names '{name}' as its data file, which was not opened. {why}", denied.Message);
        Assert.Equal(["d/disk"], _files.Opened.TakeLast(1));
    }

    [Fact]
    public async Task The_untrusting_policy_opens_no_data_file_and_info_needs_none()
    {
        await CreateAsync("d/disk", "data");
        await WriteFileAsync("d/data");
        await Assert.ThrowsAsync<OpenDeniedException>(async () => await OpenAsync("d/disk", OpenPolicy.Untrusted));
        int opened = _files.Opened.Count;
        await using BlockNode disk = await OpenAsync("d/disk", OpenPolicy.Untrusted, DataFileMode.Ignore);
        Assert.Contains(new KeyValuePair<string, object>("data-file", "data"), ImageInfo.Of(disk).Details.Properties);
        Assert.Equal(0, (await ImageChecker.CheckAsync(disk)).Corruptions);
        Assert.Equal(opened + 1, _files.Opened.Count);
    }

    [Fact]
    public async Task Without_its_data_file_an_image_neither_gives_nor_takes_data()
    {
        await CreateAsync("d/disk", "data");
        await WriteFileAsync("d/data");
        await using (BlockNode writable = await OpenAsync("d/disk", access: NodeAccess.ReadWrite))
        {
            await writable.WriteAsync(0, new byte[] { 1 });
        }

        await using BlockNode disk = await OpenAsync("d/disk", OpenPolicy.Default, DataFileMode.Ignore, NodeAccess.ReadWrite);
        foreach (Func<ValueTask> request in new Func<ValueTask>[] { () => disk.ReadAsync(0, new byte[1]), () => disk.WriteAsync(0, new byte[1]), () => disk.ResizeAsync(1 << 20) })
        {
            BlockLayerException refused = await Assert.ThrowsAsync<BlockLayerException>(async () => await request());
            Assert.Equal((BlockErrorKind.Denied, "'d/disk' was opened without its external data file, so the guest's data can be neither read nor written."), (refused.Kind, refused.Message));
        }
    }

    [Fact]
    public async Task A_missing_data_file_is_told_with_who_names_it()
    {
        await CreateAsync("d/disk", "gone");
        BlockLayerException missing = await Assert.ThrowsAsync<BlockLayerException>(async () => await OpenAsync("d/disk"));
        Assert.Equal((BlockErrorKind.NotFound, "d/gone"), (missing.Kind, missing.Path));
    }

    [Fact]
    public async Task The_image_itself_and_its_backing_file_are_no_data_files()
    {
        await CreateAsync("d/self", "./self");
        await Assert.ThrowsAsync<BlockLayerException>(async () => await OpenAsync("d/self"));
        await WriteFileAsync("d/base");
        await CreateAsync("d/disk", "base", new BackingReference("./base", "raw"));
        BlockLayerException refused = await Assert.ThrowsAsync<BlockLayerException>(async () => await OpenAsync("d/disk"));
        Assert.Equal(BlockErrorKind.InvalidFormat, refused.Kind);
    }

    [Fact]
    public async Task The_bit_without_a_name_is_refused_where_the_data_is_wanted()
    {
        await CreateAsync("d/disk", "data", change: header => header with { Extensions = header.Extensions.Without(HeaderExtensionType.DataFileName) });
        ImageFormatException refused = await Assert.ThrowsAsync<ImageFormatException>(async () => await OpenAsync("d/disk"));
        Assert.Equal("incompatible_features at byte 72 has the bit \"External data file\", and no header extension names that file.", refused.Message);
        await using BlockNode disk = await OpenAsync("d/disk", OpenPolicy.Default, DataFileMode.Ignore);
        Assert.Equal(4096, disk.Length);
    }

    [Fact]
    public async Task A_name_without_the_bit_is_ignored_and_kept()
    {
        await CreateAsync("d/disk", "../outside", change: static header => header with { Incompatible = IncompatibleFeatures.None });
        await using BlockNode disk = await OpenAsync("d/disk", access: NodeAccess.ReadWrite);
        await disk.WriteAsync(0, new byte[] { 7 });
        Assert.Equal("../outside", ((Qcow2Node)disk).Header.DataFileName);
        Assert.Null(disk.GetChild(EdgeRole.Data));
    }

    [Fact]
    public void The_raw_bit_without_a_data_file_is_refused()
    {
        Qcow2Header header = TestHeaders.Version3() with { Autoclear = AutoclearFeatures.RawExternalData };
        ImageFormatException refused = Assert.Throws<ImageFormatException>(() => header.Validate(TestHeaders.FileLength));
        Assert.Equal(
            "autoclear_features is set to \"Raw external data\" at byte 88; expected is that bit only beside the bit \"External data file\" of incompatible_features.", refused.Message);
    }

    [Fact]
    public async Task The_raw_bit_beside_a_backing_file_is_cleared_by_the_first_write()
    {
        await WriteFileAsync("d/base", Pattern.Of(0, 4096, writer: 1));
        await WriteFileAsync("d/data");
        await CreateAsync("d/disk", "data", new BackingReference("base", "raw"), static header => header with { Autoclear = AutoclearFeatures.RawExternalData });
        await using BlockNode disk = await OpenAsync("d/disk", access: NodeAccess.ReadWrite);
        await disk.WriteZeroesAsync(0, ClusterSize);
        Assert.Equal(AutoclearFeatures.None, ((Qcow2Node)disk).Header.Autoclear);
        byte[] found = new byte[4096];
        await disk.ReadAsync(0, found);
        Assert.Equal([.. new byte[ClusterSize], .. Pattern.Of(0, 4096, writer: 1)[ClusterSize..]], found);
    }

    [Theory]
    [InlineData(0x8000_0000_0000_0000 | (2 * ClusterSize), "points to another place of the external data file than the guest offset")]
    [InlineData(0x8000_0000_0000_0000 | (1UL << 50), "points to another place of the external data file than the guest offset")]
    [InlineData(1UL << 62 | ClusterSize, "is compressed in an image with an external data file")]
    public async Task An_entry_that_leads_elsewhere_is_an_error_of_its_own_cluster_only(ulong entry, string why)
    {
        await CreateAsync("d/disk", "data");
        await WriteFileAsync("d/data");
        await using (BlockNode disk = await OpenAsync("d/disk", access: NodeAccess.ReadWrite))
        {
            await disk.WriteAsync(0, Pattern.Of(0, 2 * ClusterSize, writer: 2));
        }

        await SetEntryOfClusterOneAsync("d/disk", entry);
        await using BlockNode damaged = await OpenAsync("d/disk", access: NodeAccess.ReadWrite);
        foreach (Func<ValueTask> request in new Func<ValueTask>[] { () => damaged.ReadAsync(ClusterSize, new byte[1]), () => damaged.WriteAsync(ClusterSize, new byte[1]) })
        {
            BlockLayerException refused = await Assert.ThrowsAsync<BlockLayerException>(async () => await request());
            Assert.Equal(BlockErrorKind.Corrupt, refused.Kind);
            Assert.Contains(why, refused.Message, StringComparison.Ordinal);
        }

        byte[] found = new byte[ClusterSize];
        await damaged.ReadAsync(0, found);
        Assert.Equal(Pattern.Of(0, ClusterSize, writer: 2), found);
    }

    private async ValueTask SetEntryOfClusterOneAsync(string path, ulong entry)
    {
        byte[] word = new byte[8];
        await using BlockStorage file = await _files.OpenAsync(path, new StorageOpenOptions { Writable = true }, CancellationToken.None);
        byte[] header = new byte[ClusterSize];
        await file.ReadAsync(0, header, CancellationToken.None);
        await file.ReadAsync(Qcow2Header.Parse(header).L1TableOffset.Value, word, CancellationToken.None);
        long table = new L1Entry(BinaryPrimitives.ReadUInt64BigEndian(word)).L2Table.Value;
        BinaryPrimitives.WriteUInt64BigEndian(word, entry);
        await file.WriteAsync(table + L2Entry.Size, word, CancellationToken.None);
    }

    // Made without its data file, as whoever writes a hostile image does.
    private async ValueTask CreateAsync(string path, string dataFile, BackingReference? backing = null, Func<Qcow2Header, Qcow2Header>? change = null)
    {
        var how = new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateOrTruncate };
        await using var file = new StorageNode(await _files.OpenAsync(path, how, CancellationToken.None), _environment);
        await Qcow2Format.Instance.CreateAsync(
            file, new Qcow2CreateOptions { Length = 4096, ClusterSize = ClusterSize, DataFile = dataFile, Backing = backing }, CancellationToken.None);
        if (change is not null)
        {
            byte[] cluster = new byte[ClusterSize];
            await file.ReadAsync(0, cluster);
            change(Qcow2Header.Parse(cluster)).WriteTo(cluster);
            await file.WriteAsync(0, cluster);
        }
    }

    private async ValueTask WriteFileAsync(string path, byte[]? content = null)
    {
        var how = new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateOrTruncate };
        await using BlockStorage file = await _files.OpenAsync(path, how, CancellationToken.None);
        await file.WriteAsync(0, content ?? new byte[4096], CancellationToken.None);
    }

    private ValueTask<BlockNode> OpenAsync(
        string path, OpenPolicy? policy = null, DataFileMode dataFile = DataFileMode.Open, NodeAccess access = NodeAccess.ReadOnly)
        => new ImageOpener(BuiltInFormats.All, _environment)
            .OpenAsync(path, new ImageOpenOptions { Format = "qcow2", Policy = policy ?? OpenPolicy.Default, DataFile = dataFile, Access = access });
}
