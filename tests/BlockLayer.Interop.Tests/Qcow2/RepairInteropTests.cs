using System.Text.Json;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Formats.Qcow2;
using Xunit;

namespace BlockLayer.Interop.Tests.Qcow2;

/// <summary>What we repaired is clean to <c>qemu-img check</c>, what it repaired is clean to us, and whatever could be read still can.</summary>
public sealed class RepairInteropTests
{
    private static readonly string[] s_images = ["q7-v3.qcow2", "q7-v2.qcow2", "q7-c512.qcow2", "q7-rc1.qcow2", "q7-snap.qcow2", "q7-bitmap.qcow2", "q7-zlibmix.qcow2", "q7-extl2-zero.qcow2"];

    public static TheoryData<string> Images => new(s_images);

    public static TheoryData<string> FewImages => new(s_images[2..6]);

    [Theory]
    [MemberData(nameof(Images))]
    public async Task Image_repaired_by_us_is_clean_to_QEMU_and_reads_as_before(string name)
    {
        using TemporaryFolder folder = new();
        foreach (string damage in Damage.Names)
        {
            if (Damaged(name, damage) is not { } file)
            {
                continue;
            }

            ReadableContent before = await ReadableContent.OfAsync(file);
            string path = Path.Combine(folder.Path, "ours.qcow2");
            File.WriteAllBytes(path, file);
            ImageRepairReport report = await RepairAsync(path, RepairMode.All);
            Assert.True(report.After.IsClean, $"{damage}: {string.Join('\n', report.After.Findings.Take(6))}\nafter\n{string.Join('\n', report.Repairs.Take(12))}");
            (QemuResult said, JsonElement json) = QemuCheck(path);
            Assert.True(said.ExitCode == 0, $"{damage}: {said.Error}\n{json}\nafter\n{string.Join('\n', report.Repairs.Take(12))}");
            if (damage != "snapshot: the snapshot table as L1 table")
            {
                // There the guest's data is the very word that has to change.
                before.AssertKeptBy(await ReadableContent.OfAsync(File.ReadAllBytes(path)), damage);
            }
        }
    }

    [Theory]
    [MemberData(nameof(FewImages))]
    public async Task Image_repaired_by_QEMU_is_clean_to_us(string name)
    {
        using TemporaryFolder folder = new();
        int repaired = 0;
        foreach (string damage in Damage.Names)
        {
            if (damage == "refcount table: behind the end" && name is ("q7-c512.qcow2" or "q7-rc1.qcow2"))
            {
                continue; // QEMU lets the file grow to where the entry leads, and counts a terabyte of small clusters
            }

            if (Damaged(name, damage) is not { } file)
            {
                continue;
            }

            string path = Path.Combine(folder.Path, "theirs.qcow2");
            File.WriteAllBytes(path, file);
            (QemuResult said, _) = QemuCheck(path, "-r", "all");
            if (said.ExitCode == 0)
            {
                repaired++;
                await using BlockNode node = await OpenAsync(path, NodeAccess.ReadOnly);
                ImageCheckReport report = await ImageChecker.CheckAsync(node, cancellationToken: TestContext.Current.CancellationToken);
                if (!report.IsClean)
                {
                    // It may write more after its check, and then its own next one finds that.
                    (_, JsonElement again) = QemuCheck(path);
                    Assert.True(Number(again, "leaks") == report.Leaks, $"{damage}: {string.Join('\n', report.Findings.Take(6))}");
                    Assert.True(Number(again, "corruptions") == report.Corruptions, $"{damage}: {string.Join('\n', report.Findings.Take(6))}");
                }
            }
        }

        Assert.True(repaired > 15, $"QEMU repaired only {repaired} damages");
    }

    [Theory]
    [MemberData(nameof(FewImages))]
    public async Task Repair_of_leaks_leaves_what_QEMUs_leaves(string name)
    {
        using TemporaryFolder folder = new();
        foreach (string damage in Damage.Names)
        {
            if (Damaged(name, damage) is not { } file)
            {
                continue;
            }

            string ours = Path.Combine(folder.Path, "ours.qcow2");
            string theirs = Path.Combine(folder.Path, "theirs.qcow2");
            File.WriteAllBytes(ours, file);
            File.WriteAllBytes(theirs, file);
            ImageRepairReport report = await RepairAsync(ours, RepairMode.Leaks);
            (QemuResult said, JsonElement json) = QemuCheck(theirs, "-r", "leaks");
            if (json.ValueKind == JsonValueKind.Undefined || said.Error.Contains("need to rebuild", StringComparison.Ordinal))
            {
                continue; // QEMU gives up where a used cluster has no count at all; leaks can be told all the same
            }

            if (said.Error.Contains("overflow", StringComparison.Ordinal))
            {
                continue; // QEMU forgets that the block it writes is data too
            }

            if (damage is "snapshot: L1 table inside a cluster" or "snapshot: L1 table too large" or "snapshot: L1 table ends behind the file")
            {
                // QEMU gives away what a snapshot uses when it cannot find its tables.
                Assert.Equal(0, report.LeaksFixed);
                continue;
            }

            string context = $"{damage}\nQEMU: {json} {said.Error}\nwe: {report.After}\n{string.Join('\n', report.Repairs.Take(12))}\n{string.Join('\n', report.After.Findings.Take(6))}";
            Assert.True(Number(json, "leaks-fixed") == report.LeaksFixed, context);
            Assert.True(Number(json, "leaks") == report.After.Leaks, context);
            Assert.True(Number(json, "corruptions") == report.After.Corruptions, context);
        }
    }

    private static long Number(JsonElement json, string name) => json.TryGetProperty(name, out JsonElement value) ? value.GetInt64() : 0;

    /// <summary>The damaged image; null where the damage does not fit the image.</summary>
    private static byte[]? Damaged(string name, string damage)
    {
        DamagedImage image = new(File.ReadAllBytes(GoldenImages.Get(name).Path));
        if (!Damage.Fits(damage, image))
        {
            return null;
        }

        Damage.Apply(damage, image);
        return image.File;
    }

    private static async Task<ImageRepairReport> RepairAsync(string path, RepairMode mode)
    {
        await using BlockNode node = await OpenAsync(path, NodeAccess.ReadWrite);
        return await ImageChecker.RepairAsync(node, mode, cancellationToken: TestContext.Current.CancellationToken);
    }

    private static ValueTask<BlockNode> OpenAsync(string path, NodeAccess access)
        => new ImageOpener(BuiltInFormats.All, BlockEnvironment.Default).OpenAsync(
            path,
            new ImageOpenOptions { Format = "qcow2", Access = access, Purpose = OpenPurpose.Repair, Backing = BackingMode.Ignore });

    private static (QemuResult Said, JsonElement Json) QemuCheck(string path, params string[] options)
    {
        QemuResult said = QemuTool.Require("qemu-img").Run(["check", "--output=json", "-f", "qcow2", .. options, path]);
        return (said, said.Output.StartsWith('{') ? JsonDocument.Parse(said.Output).RootElement : default);
    }
}
