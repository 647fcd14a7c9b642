using System.Globalization;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Interop.Tests.Qcow2;

/// <summary>External data files, both ways: made and written by us, checked and read by qemu-img; made by it, written by us, checked and read by it again.</summary>
public sealed class DataFileInteropTests : IDisposable
{
    private const int Length = 3000 * 512;

    private readonly TemporaryFolder _folder = new();
    private readonly QemuTool _qemuImg = QemuTool.Require("qemu-img");

    public static TheoryData<string> Layouts =>
    [
        "data_file_raw=off",
        "data_file_raw=on",
        "data_file_raw=off,cluster_size=512",
        "data_file_raw=on,cluster_size=4k",
        "data_file_raw=off,extended_l2=on,cluster_size=16k",
        "data_file_raw=on,extended_l2=on",
    ];

    private string Image => _folder.File("disk.qcow2");

    private string Data => _folder.File("disk.data");

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(Layouts))]
    public async Task An_image_we_made_and_wrote_passes_their_check_and_reads_the_same(string options)
    {
        var image = new NewImage { Format = "qcow2", Length = Length, Options = $"data_file={Data},{options}".Split(',').Select(pair => pair.Split('=')).ToDictionary(pair => pair[0], pair => pair[1]) };
        await new ImageCreator(BuiltInFormats.All, BlockEnvironment.Default).CreateAsync(Image, image, OpenPolicy.Default);
        Assert.Contains($"data file: {Data}", _qemuImg.RunOk("info", Image), StringComparison.Ordinal);
        AssertTheySee(new byte[Length], options);

        AssertTheySee(await WriteRandomlyAsync(new byte[Length], seed: 1), options);
    }

    [Theory]
    [MemberData(nameof(Layouts))]
    public async Task An_image_they_made_and_we_wrote_passes_their_check_and_reads_the_same(string options)
    {
        byte[] model = Pattern.Of(0, Length, writer: 77);
        model.AsSpan(200_000, 300_000).Clear();
        await File.WriteAllBytesAsync(_folder.File("source.raw"), model);
        _qemuImg.RunOk("convert", "-f", "raw", "-O", "qcow2", "-o", $"data_file={Data},{options}", _folder.File("source.raw"), Image);

        AssertTheySee(await WriteRandomlyAsync(model, seed: 2), options);
    }

    [Fact]
    public async Task What_they_write_into_our_raw_disk_we_read()
    {
        await new ImageCreator(BuiltInFormats.All, BlockEnvironment.Default).CreateAsync(
            Image,
            new NewImage { Format = "qcow2", Length = Length, Options = new Dictionary<string, string> { ["data_file"] = Data, ["data_file_raw"] = "on" } },
            OpenPolicy.Default);
        QemuTool.Require("qemu-io").RunOk("-f", "qcow2", "-c", "write -P 5 0 200k", "-c", "write -z 100k 300k", "-c", "discard 0 64k", "-c", "write -P 6 1400k 10k", Image);
        byte[] ours = new byte[Length];
        await using (BlockNode node = await OpenAsync())
        {
            await node.ReadAsync(0, ours);
        }

        Assert.Equal(6, ours[(1400 << 10) + 1]);
        AssertTheySee(ours, "data_file_raw=on");
    }

    [Fact]
    public async Task Both_maps_tell_the_same_host_offsets_in_the_data_file()
    {
        _qemuImg.RunOk("create", "-f", "qcow2", "-o", $"data_file={Data},cluster_size=64k", Image, "1M");
        QemuTool.Require("qemu-io").RunOk("-f", "qcow2", "-c", "write -P 5 0 64k", "-c", "write -P 6 256k 128k", "-c", "write -z 512k 64k", Image);
        using System.Text.Json.JsonDocument theirs = System.Text.Json.JsonDocument.Parse(_qemuImg.RunOk("map", "--output=json", Image));
        var expected = theirs.RootElement.EnumerateArray().Where(run => run.GetProperty("data").GetBoolean())
            .Select(run => (run.GetProperty("start").GetInt64(), run.GetProperty("length").GetInt64(), run.GetProperty("offset").GetInt64()));
        await using BlockNode node = await OpenAsync();
        List<MapExtent> ours = await ImageMapper.MapAsync(node).Where(run => run.IsData).ToListAsync();
        Assert.Equal(expected, ours.Select(run => (run.Start, run.Length, run.HostOffset!.Value)));
        Assert.All(ours, run => Assert.Equal(Path.GetFullPath(Data), Path.GetFullPath(run.Path!)));
    }

    private async ValueTask<byte[]> WriteRandomlyAsync(byte[] model, int seed)
    {
        await using BlockNode node = await OpenAsync();
        return await ModelContent.ChangeRandomlyAsync(node, model, seed, mayShrink: true);
    }

    private ValueTask<BlockNode> OpenAsync()
        => new ImageOpener(BuiltInFormats.All, BlockEnvironment.Default).OpenAsync(Image, new ImageOpenOptions { Format = "qcow2", Access = NodeAccess.ReadWrite });

    private void AssertTheySee(byte[] model, string options)
    {
        QemuResult check = _qemuImg.Run("check", "-f", "qcow2", Image);
        Assert.True(check.ExitCode == 0, $"qemu-img check: {check.Output}{check.Error}");
        string raw = _folder.File("model.raw");
        File.WriteAllBytes(raw, model);
        string length = model.Length.ToString(CultureInfo.InvariantCulture);
        Assert.Contains($"({length} bytes)", _qemuImg.RunOk("info", Image), StringComparison.Ordinal);
        _qemuImg.RunOk("compare", "-f", "raw", "-F", "qcow2", raw, Image);
        if (options.Contains("raw=on", StringComparison.Ordinal))
        {
            // Theirs is a whole number of clusters long, with zeroes behind the disk.
            _qemuImg.RunOk("compare", "-f", "raw", "-F", "raw", raw, Data);
        }
    }
}
