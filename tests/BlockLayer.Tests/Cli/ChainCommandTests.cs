using BlockLayer.Cli;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Cli;

/// <summary>Overlays: what is recorded, what is shown, and which backing files are opened.</summary>
public sealed class ChainCommandTests : IDisposable
{
    private readonly BlkRun _blk = new();
    private readonly TemporaryFolder _elsewhere = new();

    [Fact]
    public async Task An_overlay_takes_its_size_from_the_backing_file_and_records_it()
    {
        await _blk.SucceedAsync("create", "-f", "qcow2", "@template.qcow2", "3M");
        Assert.Equal(
            "Created @current.qcow2: qcow2, 3 MiB (3145728 bytes), an overlay on 'template.qcow2' (qcow2).\n",
            await _blk.SucceedAsync("create", "-f", "qcow2", "-b", "template.qcow2", "-F", "qcow2", "@current.qcow2"));
        const string Chain = """
            image: @current.qcow2
            file format: qcow2
            virtual size: 3 MiB (3145728 bytes)
            disk size: SIZE
            cluster_size: 65536
            backing file: template.qcow2 (actual path: @template.qcow2)
            backing file format: qcow2
            Format specific information:
                compat: 1.1
                compression type: zlib
                lazy refcounts: false
                refcount bits: 16
                corrupt: false
                extended l2: false

            image: @template.qcow2
            file format: qcow2
            virtual size: 3 MiB (3145728 bytes)
            disk size: SIZE
            cluster_size: 65536
            Format specific information:
                compat: 1.1
                compression type: zlib
                lazy refcounts: false
                refcount bits: 16
                corrupt: false
                extended l2: false

            """;
        string info = await _blk.SucceedAsync("info", "--backing-chain", "@current.qcow2");
        Assert.Equal(Chain, System.Text.RegularExpressions.Regex.Replace(info, "disk size: .*", "disk size: SIZE"));
    }

    [Theory]
    [InlineData("nbd:host:10809", " (a protocol name, which is not opened)", "nbd:host:10809")]
    [InlineData("json:{}", " (a protocol name, which is not opened)", "json:{}")]
    [InlineData("file:base", " (actual path: @base)", "@base")]
    [InlineData("./a:b", " (actual path: @./a:b)", "@./a:b")]
    [InlineData("/a", "", "/a")]
    public async Task What_a_backing_name_means_is_told_beside_it(string name, string meaning, string full)
    {
        await _blk.SucceedAsync("create", "-f", "qcow2", "@disk", "1M");
        await _blk.SucceedAsync("rebase", "-u", "-b", name, "-F", "raw", "@disk");
        Assert.Contains($"\nbacking file: {name}{meaning}\n", await _blk.SucceedAsync("info", "@disk"), StringComparison.Ordinal);
        Assert.Contains($"\"full-backing-filename\": \"{full}\"", await _blk.SucceedAsync("info", "--output=json", "@disk"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Create_options_reach_the_format_and_wrong_ones_are_named()
    {
        await _blk.SucceedAsync("create", "-f", "qcow2", "-o", "cluster_size=4k,compat=0.10", "@a.qcow2", "1M");
        string info = await _blk.SucceedAsync("info", "@a.qcow2");
        Assert.Contains("cluster_size: 4096\n", info, StringComparison.Ordinal);
        Assert.Contains("compat: 0.10\n", info, StringComparison.Ordinal);
        BlkRun.Outcome unknown = await _blk.RunAsync("create", "-f", "qed", "-o", "frob=1", "@b.qed", "1M");
        Assert.Equal(
            new BlkRun.Outcome(1, "", "blk create: Format qed has no option 'frob'; it has cluster_size and table_size. See blk help create.\n"),
            unknown);
        BlkRun.Outcome noPair = await _blk.RunAsync("create", "-f", "qed", "-o", "frob", "@b.qed", "1M");
        Assert.Equal("blk create: -o takes name=value pairs, not 'frob'. See blk help create.\n", noPair.Error);
        Assert.False(File.Exists(_blk.Folder.File("b.qed")));
    }

    [Fact]
    public async Task A_backing_file_elsewhere_is_opened_only_when_that_is_allowed()
    {
        string template = _elsewhere.File("template.qcow2");
        await _blk.SucceedAsync("create", "-q", "-f", "qcow2", template, "1M");
        await _blk.SucceedAsync("create", "-q", "-f", "qcow2", "-b", template, "-F", "qcow2", "@current.qcow2");

        BlkRun.Outcome refused = await _blk.RunAsync("map", "@current.qcow2");
        Assert.Equal((ExitCode.Refused, ""), (refused.Code, refused.Out));
        Assert.StartsWith("blk: @current.qcow2: ", refused.Error, StringComparison.Ordinal);
        Assert.EndsWith("Use --allow DIR for a directory you trust, or --trust for images you made yourself.\n", refused.Error, StringComparison.Ordinal);

        await _blk.SucceedAsync("map", "--allow", _elsewhere.Path, "@current.qcow2");
        await _blk.SucceedAsync("map", "--trust", "@current.qcow2");
        await _blk.SucceedAsync("info", "@current.qcow2"); // describes it without opening what it refers to
    }

    [Fact]
    public async Task An_image_cannot_be_its_own_backing_file()
    {
        await _blk.SucceedAsync("create", "-f", "qcow2", "@a.qcow2", "1M");
        BlkRun.Outcome outcome = await _blk.RunAsync("create", "-f", "qcow2", "-b", "a.qcow2", "-F", "qcow2", "@a.qcow2");
        Assert.StartsWith("blk: @a.qcow2: It would be its own backing file.", outcome.Error, StringComparison.Ordinal);
        Assert.StartsWith("image: @a.qcow2\n", await _blk.SucceedAsync("info", "@a.qcow2"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_backing_file_that_does_not_exist_is_refused_unless_nobody_looks()
    {
        string[] create = ["create", "-f", "qcow2", "-b", "absent.qcow2", "-F", "qcow2"];
        BlkRun.Outcome refused = await _blk.RunAsync([.. create, "@a.qcow2"]);
        Assert.Equal(ExitCode.Failure, refused.Code);
        Assert.StartsWith("blk: @absent.qcow2: ", refused.Error, StringComparison.Ordinal);
        Assert.False(File.Exists(_blk.Folder.File("a.qcow2")));
        await _blk.SucceedAsync([.. create, "-u", "@a.qcow2", "1M"]);
        Assert.Contains("backing file: absent.qcow2", await _blk.SucceedAsync("info", "@a.qcow2"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Check_says_that_a_clean_image_is_clean()
    {
        await _blk.SucceedAsync("create", "-f", "qcow2", "@a.qcow2", "1M");
        Assert.Equal(
            "No errors were found on the image.\n0/16 = 0.00% allocated, 0.00% fragmented, 0.00% compressed clusters\nImage end offset: 262144\n",
            await _blk.SucceedAsync("check", "@a.qcow2"));
    }

    public void Dispose()
    {
        _blk.Dispose();
        _elsewhere.Dispose();
    }
}
