using System.Text.Json.Nodes;
using BlockLayer.Cli;
using BlockLayer.TestKit;
using BlockLayer.Tests.Cli;
using Xunit;

namespace BlockLayer.Interop.Tests.Cli;

/// <summary>
/// Every image that QEMU wrote for us, asked the same question by both programs. What the installed qemu-img is too old to know is left out of the comparison.
/// </summary>
public sealed class GoldenImageInteropTests : IDisposable
{
    private readonly BlkRun _blk = new();
    private readonly QemuTool _qemuImg = QemuTool.Require("qemu-img").In(GoldenImages.Folder);

    public static TheoryData<string> Images => [.. GoldenImages.All.Select(image => image.Name)];

    public static TheoryData<string> CleanImages
        => [.. GoldenImages.All.Where(image => image.GuestSha256 is not null).Select(image => image.Name)];

    public static TheoryData<string> MappedImages
        => [.. GoldenImages.All.Where(image => Supported.Maps(image) && image.GuestSha256 is not null).Select(image => image.Name)];

    public static TheoryData<string> CheckedImages
        => [.. GoldenImages.All.Where(image => Supported.Checks(image.Format)).Select(image => image.Name)];

    [Theory]
    [MemberData(nameof(Images))]
    public async Task Info_as_json_is_the_same(string name)
    {
        GoldenImage image = GoldenImages.Get(name);
        JsonNode theirs = JsonNode.Parse(_qemuImg.RunOk("info", "-f", image.Format, "--output=json", image.Path))!;
        JsonNode ours = JsonNode.Parse(await _blk.SucceedAsync("info", "-f", image.Format, "--output=json", image.Path))!;
        foreach (string notShown in (string[])["children"])
        {
            theirs.AsObject().Remove(notShown);
        }

        if (image.Format == "qed")
        {
            // qemu-img shows false for QED whatever its need-check bit says; ours is asserted apart.
            Assert.Equal(image.GuestSha256 is null, (bool)ours["dirty-flag"]!);
            ours["dirty-flag"] = (bool)theirs["dirty-flag"]!;
        }

        Assert.Equal(Sorted(theirs), Sorted(ours));
    }

    [Theory]
    [MemberData(nameof(MappedImages))]
    public async Task Map_as_json_is_the_same(string name)
    {
        GoldenImage image = GoldenImages.Get(name);
        JsonArray theirs = JsonNode.Parse(_qemuImg.RunOk("map", "-f", image.Format, "--output=json", image.Path))!.AsArray();
        JsonArray ours = JsonNode.Parse(await _blk.SucceedAsync("map", "--trust", "-f", image.Format, "--output=json", image.Path))!.AsArray();
        bool knowsCompressed = theirs[0]!["compressed"] is not null;
        foreach (JsonNode? run in knowsCompressed ? [] : ours)
        {
            run!.AsObject().Remove("compressed"); // shown since QEMU 8.2
        }

        Assert.Equal(theirs.Select(run => run!.ToJsonString()), ours.Select(run => run!.ToJsonString()));
    }

    [Theory]
    [MemberData(nameof(CheckedImages))]
    public async Task Check_counts_the_same(string name)
    {
        GoldenImage image = GoldenImages.Get(name);
        QemuResult result = _qemuImg.Run("check", "-f", image.Format, "--output=json", image.Path);
        BlkRun.Outcome outcome = await _blk.RunAsync("check", "-f", image.Format, "--output=json", image.Path);
        Assert.Equal((result.ExitCode, ""), (outcome.Code, outcome.Error));
        JsonNode theirs = JsonNode.Parse(result.Output)!;
        JsonNode ours = JsonNode.Parse(outcome.Out)!;
        if (theirs["image-end-offset"] is null)
        {
            ours.AsObject().Remove("image-end-offset"); // qemu-img does not know it for QED
        }

        Assert.Equal(Sorted(theirs), Sorted(ours));
    }

    [Theory]
    [MemberData(nameof(CleanImages))]
    public async Task Converted_to_raw_by_us_it_is_what_qemu_img_reads(string name)
    {
        GoldenImage image = GoldenImages.Get(name);
        Assert.Equal("", await _blk.SucceedAsync("convert", "--trust", "-f", image.Format, image.Path, "@out.raw"));
        _qemuImg.RunOk("compare", "-f", image.Format, "-F", "raw", image.Path, _blk.Folder.File("out.raw"));
    }

    [Theory]
    [MemberData(nameof(CleanImages))]
    public async Task Converted_to_raw_by_qemu_img_it_is_what_we_read(string name)
    {
        GoldenImage image = GoldenImages.Get(name);
        _qemuImg.RunOk("convert", "-f", image.Format, "-O", "raw", image.Path, _blk.Folder.File("out.raw"));
        BlkRun.Outcome outcome = await _blk.RunAsync("compare", "--trust", "-f", image.Format, "-F", "raw", image.Path, "@out.raw");
        Assert.Equal(new BlkRun.Outcome(ExitCode.Success, "Images are identical.\n", ""), outcome);
    }

    public void Dispose() => _blk.Dispose();

    private static string Sorted(JsonNode node)
        => string.Join('\n', Flatten(node).Order(StringComparer.Ordinal));

    private static IEnumerable<string> Flatten(JsonNode? node)
        => node switch
        {
            JsonObject fields => fields.SelectMany(field => Flatten(field.Value).Select(line => $"{field.Key}.{line}")),
            JsonArray items => items.SelectMany((item, index) => Flatten(item).Select(line => $"[{index}].{line}")),
            _ => [node?.ToJsonString() ?? "null"],
        };
}
