using System.Buffers.Binary;
using System.Text.Json;
using BlockLayer.Formats.Qed;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Interop.Tests.Qed;

/// <summary>Damaged QED images: we count what <c>qemu-img check</c> counts, and what we repaired is clean to it.</summary>
public sealed class QedRepairInteropTests
{
    private static readonly Dictionary<string, Action<Tables>> s_damages = new()
    {
        ["nothing"] = static _ => { },
        ["need check"] = static tables => tables.File[16] |= 2,
        ["L1 entry: inside a cluster"] = static tables => tables[tables.L1] ^= 512,
        ["L1 entry: behind the end"] = static tables => tables[tables.L1] ^= 1UL << 40,
        ["L1 entry: the L1 table"] = static tables => tables[tables.L1 + 8] = (ulong)tables.L1,
        ["L1 entry: another one's table"] = static tables => tables[tables.L1 + 8] = tables[tables.L1],
        ["L1 entry: dropped"] = static tables => tables[tables.L1] = 0,
        ["L2 entry: inside a cluster"] = static tables => tables[tables.Data] ^= 512,
        ["L2 entry: behind the end"] = static tables => tables[tables.Data] ^= 1UL << 40,
        ["L2 entry: negative"] = static tables => tables[tables.Data] ^= 1UL << 63,
        ["L2 entry: another one's cluster"] = static tables => tables[tables.Data] = tables[tables.Data + 8],
        ["L2 entry: its own table"] = static tables => tables[tables.Data] = (ulong)tables.L2,
        ["L2 entry: the L1 table"] = static tables => tables[tables.Data] = (ulong)tables.L1,
        ["L2 entry: dropped"] = static tables => tables[tables.Data] = 0,
    };

    public static TheoryData<string, string> Damages
    {
        get
        {
            TheoryData<string, string> data = [];
            foreach (string image in (string[])["q7-qed.qed", "q7-qed4k.qed", "q7-qed128k.qed"])
            {
                foreach (string damage in s_damages.Keys)
                {
                    data.Add(image, damage);
                }
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Damages))]
    public async Task Numbers_are_QEMUs_and_the_repaired_image_is_clean_to_it(string name, string damage)
    {
        Tables tables = new(File.ReadAllBytes(GoldenImages.Get(name).Path));
        s_damages[damage](tables);
        using TemporaryFolder folder = new();
        string path = folder.File("damaged.qed");
        File.WriteAllBytes(path, tables.File);
        (_, JsonElement before) = Check(path);
        ImageRepairReport report;
        await using (BlockNode node = await OpenAsync(path))
        {
            report = await ImageChecker.RepairAsync(node, RepairMode.All, cancellationToken: TestContext.Current.CancellationToken);
        }

        Assert.Equal((Number(before, "corruptions"), Number(before, "leaks"), Number(before, "check-errors")), (report.Before.Corruptions, report.Before.Leaks, report.Before.CheckErrors));
        Assert.True(report.After.IsClean, string.Join('\n', report.After.Findings));
        (QemuResult said, JsonElement after) = Check(path);
        Assert.True(said.ExitCode == 0, $"{said.Error}\n{after}");
    }

    private static long Number(JsonElement json, string name) => json.TryGetProperty(name, out JsonElement value) ? value.GetInt64() : 0;

    private static ValueTask<BlockNode> OpenAsync(string path)
        => new ImageOpener(BuiltInFormats.All, BlockEnvironment.Default).OpenAsync(
            path,
            new ImageOpenOptions { Format = "qed", Access = NodeAccess.ReadWrite, Purpose = OpenPurpose.Repair, Backing = BackingMode.Ignore });

    private static (QemuResult Said, JsonElement Json) Check(string path)
    {
        QemuResult said = QemuTool.Require("qemu-img").Run("check", "--output=json", "-f", "qed", path);
        Assert.True(said.Output.Length > 0, said.Error);
        return (said, JsonDocument.Parse(said.Output).RootElement);
    }

    /// <summary>The words of an image in memory.</summary>
    private sealed class Tables(byte[] file)
    {
        public byte[] File { get; } = file;

        public long L1 { get; } = (long)QedHeader.Parse(file).L1TableOffset;

        public long L2 => (long)this[L1];

        /// <summary>The first entry with data that is followed by another one.</summary>
        public long Data => Enumerable.Range(0, 1024).Select(i => L2 + (i * 8L)).First(at => this[at] > 1 && this[at + 8] > 1);

        public ulong this[long at]
        {
            get => BinaryPrimitives.ReadUInt64LittleEndian(File.AsSpan((int)at));
            set => BinaryPrimitives.WriteUInt64LittleEndian(File.AsSpan((int)at), value);
        }
    }
}
