using System.Text.Json;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Formats.Qcow2;
using Xunit;

namespace BlockLayer.Interop.Tests.Qcow2;

/// <summary>Snapshot tables that nobody can rely on: what <c>qemu-img check</c> finds and makes of them, and what we do.</summary>
public sealed class SnapshotTableInteropTests
{
    private const string Golden = "q7-snap.qcow2";

    /// <summary>Where the table lies on something else QEMU follows what is no snapshot, and what it counts on the way is anything.</summary>
    private static readonly string[] s_misled = ["offset: the header", "offset: the refcount table", "offset: the L1 table"];

    public static TheoryData<string> Damages => new(SnapshotTableDamage.Names);

    /// <summary>Where QEMU's own repair ends, with the same snapshots; it fails at the others, or keeps entries that say nothing.</summary>
    public static TheoryData<string> RepairedAlike => new("second: extra data of 1025 bytes", "second: extra data of 2^32-1 bytes", "first: extra data of 2^32-1 bytes");

    [Theory]
    [MemberData(nameof(Damages))]
    public async Task A_check_finds_what_QEMU_finds(string damage)
    {
        using var folder = new TemporaryFolder();
        string path = Spoil(folder, damage);
        (QemuResult said, JsonElement json) = Check(path);
        ImageCheckReport ours = await CheckAsync(path);
        string context = $"{said.Error}\n{json}\nwe: {ours}\n{string.Join('\n', ours.Findings.Take(10))}";
        if (json.ValueKind == JsonValueKind.Undefined || Number(json, "check-errors") > 0)
        {
            Assert.True(ours.CheckErrors == 1, context); // QEMU goes no further
        }
        else if (!s_misled.Contains(damage))
        {
            Assert.True(ours.CheckErrors == 0, context);
            Assert.True(Number(json, "corruptions") == ours.Corruptions, context);
            Assert.True(Number(json, "leaks") == ours.Leaks, context);
        }

        Assert.False(ours.IsClean, context);
    }

    [Theory]
    [MemberData(nameof(Damages))]
    public async Task What_we_repaired_is_clean_to_QEMU_and_reads_as_before(string damage)
    {
        using var folder = new TemporaryFolder();
        string path = Spoil(folder, damage);
        await RepairAsync(path);
        (QemuResult said, JsonElement json) = Check(path);
        Assert.True(said.ExitCode == 0, $"{said.Error}\n{json}");
        QemuTool qemu = QemuTool.Require("qemu-img");
        qemu.RunOk("compare", "-f", "qcow2", "-F", "qcow2", GoldenImages.Get(Golden).Path, path);
        Assert.Equal(SnapshotTableDamage.Kept(damage), Snapshots(path).Length);
    }

    [Theory]
    [MemberData(nameof(RepairedAlike))]
    public async Task The_snapshots_that_are_kept_are_those_that_QEMU_keeps(string damage)
    {
        using var folder = new TemporaryFolder();
        string ours = Spoil(folder, damage);
        string theirs = folder.File("theirs.qcow2");
        File.Copy(ours, theirs);
        await RepairAsync(ours);
        Assert.Equal(0, Check(theirs, "-r", "all").Said.ExitCode);
        Assert.Equal(Snapshots(theirs), Snapshots(ours));
    }

    /// <summary>Entries of zeroes behind the table are snapshots to QEMU; the others are the same.</summary>
    [Theory]
    [InlineData("count: one too many")]
    [InlineData("first: extra data of 1025 bytes")]
    [InlineData("offset: behind the end")]
    public async Task Snapshots_that_say_nothing_are_all_that_QEMU_has_besides(string damage)
    {
        using var folder = new TemporaryFolder();
        string ours = Spoil(folder, damage);
        string theirs = folder.File("theirs.qcow2");
        File.Copy(ours, theirs);
        await RepairAsync(ours);
        Assert.Equal(0, Check(theirs, "-r", "all").Said.ExitCode);
        string[] kept = Snapshots(theirs);
        Assert.Equal(kept[..SnapshotTableDamage.Kept(damage)], Snapshots(ours));
        Assert.All(kept[SnapshotTableDamage.Kept(damage)..], static empty => Assert.StartsWith("0 B 1970-01-01", empty, StringComparison.Ordinal));
    }

    /// <summary>Where QEMU gives up its own repair.</summary>
    [Theory]
    [InlineData("offset: inside a cluster")]
    [InlineData("offset: 2^63")]
    [InlineData("offset: 2^63-1, rounded")]
    public void QEMU_leaves_a_table_alone_whose_place_cannot_be(string damage)
    {
        using var folder = new TemporaryFolder();
        string path = Spoil(folder, damage);
        byte[] before = File.ReadAllBytes(path);
        Assert.NotEqual(0, Check(path, "-r", "all").Said.ExitCode);
        Assert.Equal(before, File.ReadAllBytes(path));
    }

    private static string Spoil(TemporaryFolder folder, string damage)
    {
        DamagedImage image = new(File.ReadAllBytes(GoldenImages.Get(Golden).Path));
        SnapshotTableDamage.Apply(damage, image);
        string path = folder.File("damaged.qcow2");
        File.WriteAllBytes(path, image.File);
        return path;
    }

    private static async Task<ImageCheckReport> CheckAsync(string path)
    {
        byte[] file = await File.ReadAllBytesAsync(path, TestContext.Current.CancellationToken);
        return await Qcow2Checker.CheckAsync(new MetadataBytes(file), Qcow2Header.Parse(file), progress: null, TestContext.Current.CancellationToken);
    }

    private static async Task RepairAsync(string path)
    {
        await using BlockNode node = await new ImageOpener(BuiltInFormats.All, BlockEnvironment.Default).OpenAsync(
            path, new ImageOpenOptions { Format = "qcow2", Access = NodeAccess.ReadWrite, Purpose = OpenPurpose.Repair, Backing = BackingMode.Ignore });
        ImageRepairReport report = await ImageChecker.RepairAsync(node, RepairMode.All, cancellationToken: TestContext.Current.CancellationToken);
        Assert.True(report.After.IsClean, string.Join('\n', report.After.Findings));
    }

    /// <summary>The rows of the list, each without the column in front that depends on the others' widths.</summary>
    private static string[] Snapshots(string path)
        => [.. QemuTool.Require("qemu-img").RunOk("snapshot", "-l", path).Split('\n', StringSplitOptions.RemoveEmptyEntries).Skip(2).Select(static row => row.Trim())];

    private static long Number(JsonElement json, string name) => json.TryGetProperty(name, out JsonElement value) ? value.GetInt64() : 0;

    private static (QemuResult Said, JsonElement Json) Check(string path, params string[] options)
    {
        QemuResult said = QemuTool.Require("qemu-img").Run(["check", "--output=json", "-f", "qcow2", .. options, path]);
        return (said, said.Output.StartsWith('{') ? JsonDocument.Parse(said.Output).RootElement : default);
    }
}
