using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Interop.Tests.Qcow2;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Interop.Tests.Images;

/// <summary>One random script on two images that start alike: ours carries it out on one, qemu-io on the other, each opening its image anew now and then.</summary>
public sealed class SameScriptTests : IDisposable
{
    private const int Length = 2 << 20;
    private const int Requests = 40;
    private const int Sessions = 3;

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("raw", "", false)]
    [InlineData("qcow2", "compat=0.10,cluster_size=512", false)]
    [InlineData("qcow2", "compat=0.10,cluster_size=64k", true)]
    [InlineData("qcow2", "compat=1.1,cluster_size=4k,refcount_bits=1", true)]
    [InlineData("qcow2", "compat=1.1,cluster_size=64k,extended_l2=on", true)]
    [InlineData("qcow2", "compat=1.1,cluster_size=2M", false)]
    [InlineData("qed", "cluster_size=4k", false)] // with a backing file, what qemu-io 7.2 makes of zeroes in QED is not what was written
    [InlineData("qed", "cluster_size=64k,table_size=2", false)]
    public void The_same_requests_make_the_same_disk(string format, string options, bool hasBacking)
        => Seeds.Check("SameScriptTests.*", 2, seed => RunAsync(format, options, hasBacking, (int)seed).GetAwaiter().GetResult());

    private async Task RunAsync(string format, string options, bool hasBacking, int seed)
    {
        var img = QemuTool.Require("qemu-img");
        var io = QemuTool.Require("qemu-io");
        string ours = _folder.File($"ours-{seed}");
        string theirs = _folder.File($"theirs-{seed}");
        await File.WriteAllBytesAsync(_folder.File("base"), Pattern.Of(0, Length - 100_000, writer: 1));
        string[] created = ["create", "-q", "-f", format, .. options.Length > 0 ? ["-o", options] : Array.Empty<string>()];
        string[] backing = hasBacking ? ["-b", "base", "-F", "raw"] : [];
        img.RunOk([.. created, .. backing, ours, $"{Length}"]);
        img.RunOk([.. created, .. backing, theirs, $"{Length}"]);

        byte[] model = new byte[Length];
        if (hasBacking)
        {
            Pattern.Of(0, Length - 100_000, writer: 1).CopyTo(model, 0);
        }

        foreach (DiskRequest[] session in DiskRequest.RandomScript(seed, Requests, Length).Chunk(Requests / Sessions))
        {
            await using (Disk disk = await Disk.OpenAsync(ours, new DiskOptions { Format = format }))
            {
                foreach (DiskRequest request in session)
                {
                    await request.DoAsync(disk.Root);
                    if (request.Kind != DiskRequestKind.Flush)
                    {
                        model.AsSpan((int)request.Offset, request.Length).Fill(request.Kind == DiskRequestKind.Write ? request.Value : (byte)0);
                    }
                }
            }

            io.RunOk(["-f", format, .. session.SelectMany(request => new[] { "-c", request.QemuIoCommand }), theirs]);
        }

        await using (Disk disk = await Disk.OpenAsync(ours, new DiskOptions { Format = format, Access = NodeAccess.ReadOnly }))
        {
            byte[] found = new byte[Length];
            await disk.ReadAsync(0, found);
            Assert.Equal(-1, FirstDifference(model, found));
        }

        string read = _folder.File("read");
        foreach (string image in new[] { ours, theirs })
        {
            img.RunOk("convert", "-f", format, "-O", "raw", image, read);
            int difference = FirstDifference(model, await File.ReadAllBytesAsync(read));
            Assert.True(difference < 0, $"as QEMU reads it, {Path.GetFileName(image)} differs from what was written at byte {difference}");
        }

        img.RunOk("compare", "-f", format, "-F", format, ours, theirs);
        if (format != "raw")
        {
            img.RunOk("check", "-q", "-f", format, ours);
            foreach (string image in new[] { ours, theirs })
            {
                BlockNode node = await new ImageOpener(BuiltInFormats.All, BlockEnvironment.Default).OpenAsync(image, new ImageOpenOptions { Format = format });
                await using (node.ConfigureAwait(false))
                {
                    ImageCheckReport report = await ImageChecker.CheckAsync(node);
                    Assert.True(report.IsClean, $"{image}: {string.Join("; ", report.Findings.Select(finding => finding.Message))}");
                }
            }
        }
    }

    private static int FirstDifference(byte[] expected, byte[] found)
        => expected.AsSpan().CommonPrefixLength(found) is var same && same == expected.Length ? -1 : same;
}
