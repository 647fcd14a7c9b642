using System.Globalization;
using System.Text.Json;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Interop.Tests.Qcow2;

/// <summary>One script of requests, given to us and to qemu-io: the same content, and the same subclusters stored.</summary>
public sealed class SubclusterInteropTests
{
    private const int Length = 3 << 20;

    [Theory]
    [InlineData("16k", 1)]
    [InlineData("16k", 2)]
    [InlineData("64k", 3)]
    [InlineData("64k", 4)]
    [InlineData("2M", 5)]
    public async Task The_same_requests_leave_the_same_content_and_the_same_subclusters(string clusterSize, int seed)
    {
        QemuTool qemuImg = QemuTool.Require("qemu-img");
        QemuTool qemuIo = QemuTool.Require("qemu-io");
        using var folder = new TemporaryFolder();
        await File.WriteAllBytesAsync(folder.File("base.raw"), Pattern.Of(0, Length, writer: 70));
        string ours = folder.File("ours.qcow2");
        string theirs = folder.File("theirs.qcow2");
        string geometry = $"extended_l2=on,cluster_size={clusterSize}";
        qemuImg.RunOk("create", "-f", "qcow2", "-o", geometry, "-b", "base.raw", "-F", "raw", theirs, Length.ToString(CultureInfo.InvariantCulture));
        File.Copy(theirs, ours);

        IReadOnlyList<DiskRequest> script = DiskRequest.RandomScript(seed, count: 80, Length);
        await using (BlockNode node = await OpenAsync(ours))
        {
            foreach (DiskRequest request in script)
            {
                await request.DoAsync(node);
            }
        }

        qemuIo.RunOk(["-f", "qcow2", .. script.SelectMany(request => new[] { "-c", request.QemuIoCommand }), theirs]);
        qemuImg.RunOk("check", "-f", "qcow2", ours);
        qemuImg.RunOk("compare", "-f", "qcow2", "-F", "qcow2", ours, theirs);
        Assert.Equal(MapOf(qemuImg, theirs), MapOf(qemuImg, ours));
    }

    [Theory]
    [InlineData("extended_l2=on")]
    [InlineData("extended_l2=on,cluster_size=16k,preallocation=metadata")]
    [InlineData("extended_l2=on,cluster_size=2M,compression_type=zlib")]
    public async Task A_conversion_into_subclusters_reads_the_same_in_qemu(string options)
    {
        QemuTool qemuImg = QemuTool.Require("qemu-img");
        using var folder = new TemporaryFolder();
        byte[] content = new byte[Length];
        for (int at = 0; at < Length; at += 40_000)
        {
            Pattern.Fill(content.AsSpan(at, Math.Min(9000, Length - at)), at, writer: 71);
        }

        string source = folder.File("source.raw");
        string target = folder.File("target.qcow2");
        await File.WriteAllBytesAsync(source, content);
        var opener = new ImageOpener(BuiltInFormats.All, BlockEnvironment.Default);
        Dictionary<string, string> pairs = options.Split(',').Select(pair => pair.Split('=')).ToDictionary(pair => pair[0], pair => pair[1]);
        await using (BlockNode from = await opener.OpenAsync(source, new ImageOpenOptions { Format = "raw" }))
        {
            var writer = new ImageWriter(BuiltInFormats.All, BlockEnvironment.Default, OpenPolicy.Default);
            await writer.WriteNewAsync(from, target, new NewImage { Format = "qcow2", Options = pairs });
        }

        qemuImg.RunOk("check", "-f", "qcow2", target);
        qemuImg.RunOk("compare", "-f", "raw", "-F", "qcow2", source, target);
    }

    /// <summary>Who provides what: runs of the top image and of its backing file, zero or not, wherever they are stored.</summary>
    private static string MapOf(QemuTool qemuImg, string path)
    {
        using JsonDocument map = JsonDocument.Parse(qemuImg.RunOk("map", "-f", "qcow2", "--output=json", path));
        List<(long Start, string Kind)> runs = [];
        foreach (JsonElement run in map.RootElement.EnumerateArray())
        {
            string kind = $"depth {run.GetProperty("depth")}, zero {run.GetProperty("zero")}, data {run.GetProperty("data")}";
            if (runs.Count == 0 || runs[^1].Kind != kind)
            {
                runs.Add((run.GetProperty("start").GetInt64(), kind));
            }
        }

        return string.Join('\n', runs.Select(run => string.Create(CultureInfo.InvariantCulture, $"{run.Start}: {run.Kind}")));
    }

    private static async ValueTask<BlockNode> OpenAsync(string path)
        => await new ImageOpener(BuiltInFormats.All, BlockEnvironment.Default)
            .OpenAsync(path, new ImageOpenOptions { Format = "qcow2", Access = NodeAccess.ReadWrite });
}
