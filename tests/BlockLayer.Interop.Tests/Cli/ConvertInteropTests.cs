using BlockLayer.Images;
using BlockLayer.TestKit;
using BlockLayer.Tests.Cli;
using Xunit;

namespace BlockLayer.Interop.Tests.Cli;

/// <summary>Conversions between all formats: what we write, qemu-img reads and finds in order; what qemu-img writes, we do.</summary>
public sealed class ConvertInteropTests : IDisposable
{
    private const int Length = (6 << 20) + 512;

    private readonly BlkRun _blk = new();
    private readonly QemuTool _qemuImg = QemuTool.Require("qemu-img");

    public static TheoryData<string, string> Pairs
    {
        get
        {
            var pairs = new TheoryData<string, string>();
            string[] formats = [.. BuiltInFormats.All.Formats.Select(format => format.Name).Where(name => name != "add-cow")]; // qemu-img never had it
            foreach (string from in formats)
            {
                foreach (string to in formats)
                {
                    pairs.Add(from, to);
                }
            }

            return pairs;
        }
    }

    [Theory]
    [MemberData(nameof(Pairs))]
    public async Task What_we_convert_qemu_img_reads_and_finds_in_order(string from, string to)
    {
        (string raw, string source, string target) = await MakeSourceAsync(from, to);
        await _blk.SucceedAsync("convert", "-f", from, "-O", to, source, target);
        _qemuImg.RunOk("compare", "-f", "raw", "-F", to, raw, target);
        AssertClean(to, target);
    }

    [Theory]
    [MemberData(nameof(Pairs))]
    public async Task What_qemu_img_converts_we_read_and_find_in_order(string from, string to)
    {
        (string raw, string source, string target) = await MakeSourceAsync(from, to);
        _qemuImg.RunOk("convert", "-f", from, "-O", to, source, target);
        Assert.Equal("Images are identical.\n", await _blk.SucceedAsync("compare", "-f", "raw", "-F", to, raw, target));
        if (Supported.Checks(to))
        {
            Assert.StartsWith("No errors were found on the image.\n", await _blk.SucceedAsync("check", "-f", to, target), StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("zlib", 65536)]
    [InlineData("zlib", 4096)]
    [InlineData("zstd", 65536)]
    public async Task What_we_compress_qemu_img_reads_and_finds_in_order(string type, int clusterSize)
    {
        (string raw, string source, string target) = await MakeSourceAsync("raw", "qcow2");
        await _blk.SucceedAsync("convert", "-c", "-f", "raw", "-O", "qcow2", "-o", $"compression_type={type},cluster_size={clusterSize}", source, target);
        _qemuImg.RunOk("compare", "-f", "raw", "-F", "qcow2", raw, target);
        AssertClean("qcow2", target);
        Assert.Equal("Images are identical.\n", await _blk.SucceedAsync("compare", "-f", "raw", "-F", "qcow2", raw, target));
        BlkRun.Outcome table = await _blk.RunAsync("map", target);
        Assert.Equal(1, table.Code);
        Assert.Matches("^blk: @target.qcow2: The run at [0-9]+ is compressed, so it has no place that a table could show; use --output json.\n$", table.Error);
    }

    [Fact]
    public async Task An_overlay_converted_onto_the_same_backing_file_stores_only_its_own_part()
    {
        string overlay = BuiltInFormats.All.Formats[0].Name;
        (string _, string template, string _) = await MakeSourceAsync(overlay, overlay);
        string current = _blk.Folder.File("current");
        string copy = _blk.Folder.File("copy");
        _qemuImg.RunOk("create", "-q", "-f", overlay, "-b", template, "-F", overlay, current);
        await using (Disk disk = await Disk.OpenAsync(current, new DiskOptions { Format = overlay }))
        {
            await disk.WriteAsync(100_000, Pattern.Of(100_000, 200_000, writer: 5));
            await disk.WriteZeroesAsync(1 << 20, 1 << 20);
        }

        await _blk.SucceedAsync("convert", "-f", overlay, "-O", overlay, "-B", template, "-F", overlay, current, copy);
        _qemuImg.RunOk("compare", "-f", overlay, "-F", overlay, current, copy);
        AssertClean(overlay, copy);
        Assert.True(new FileInfo(copy).Length < new FileInfo(template).Length, "what the backing file provides was copied");
    }

    [Fact]
    public async Task Writing_into_an_existing_image_replaces_everything_it_showed()
    {
        string format = BuiltInFormats.All.Formats[0].Name;
        (string raw, string source, string target) = await MakeSourceAsync("raw", format);
        await using (Disk disk = await Disk.CreateAsync(target, new NewImage { Format = format, Length = Length }))
        {
            await disk.WriteAsync(0, Pattern.Of(0, Length, writer: 9));
        }

        await _blk.SucceedAsync("convert", "-n", "-f", "raw", "-O", format, source, target);
        _qemuImg.RunOk("compare", "-f", "raw", "-F", format, raw, target);
        AssertClean(format, target);
    }

    public void Dispose() => _blk.Dispose();

    private void AssertClean(string format, string path)
    {
        if (format != "raw")
        {
            _qemuImg.RunOk("check", "-f", format, path);
        }
    }

    // Data, stored zeroes, holes, unaligned ends; in raw, and in the source format written by qemu-img.
    private async Task<(string Raw, string Source, string Target)> MakeSourceAsync(string from, string to)
    {
        string raw = _blk.Folder.File("source.raw");
        await using (Disk disk = await Disk.CreateAsync(raw, new NewImage { Format = "raw", Length = Length }))
        {
            await disk.WriteAsync(0, Pattern.Of(0, 777_777, writer: 1));
            await disk.WriteAsync(2 << 20, new byte[1 << 20]);
            await disk.WriteAsync((4 << 20) + 4096, Pattern.Of((4 << 20) + 4096, 1 << 20, writer: 2));
            await disk.WriteAsync(Length - 100, Pattern.Of(Length - 100, 100, writer: 3));
        }

        string source = _blk.Folder.File($"source.{from}");
        if (from != "raw")
        {
            _qemuImg.RunOk("convert", "-f", "raw", "-O", from, raw, source);
        }

        return (raw, source, _blk.Folder.File($"target.{to}"));
    }
}
