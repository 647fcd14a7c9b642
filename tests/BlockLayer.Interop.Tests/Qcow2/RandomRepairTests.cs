using System.Globalization;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Formats.Qcow2;
using Xunit;

namespace BlockLayer.Interop.Tests.Qcow2;

/// <summary>Several words of metadata changed at random, in ways that keep them plausible: the repaired image is clean, to QEMU too, and keeps what could be read.</summary>
public sealed class RandomRepairTests
{
    private const ulong Copied = 1UL << 63;

    [Theory]
    [InlineData("q7-c4k.qcow2")]
    [InlineData("q7-snap.qcow2")]
    [InlineData("q7-zlib2k.qcow2")]
    [InlineData("q7-rc1.qcow2")]
    [InlineData("q7-v2.qcow2")]
    [InlineData("q7-bitmap.qcow2")]
    [InlineData("q7-extl2-zero.qcow2")]
    public void Repaired_image_is_clean_and_keeps_what_could_be_read(string name)
        => Seeds.Check(nameof(RandomRepairTests) + "." + nameof(Repaired_image_is_clean_and_keeps_what_could_be_read), 12, seed => RunAsync(name, seed).GetAwaiter().GetResult());

    private static async Task RunAsync(string name, ulong seed)
    {
        var random = new Random((int)seed);
        DamagedImage image = new(File.ReadAllBytes(GoldenImages.Get(name).Path));
        string damages = string.Join("; ", Enumerable.Range(0, random.Next(1, 7)).Select(_ => DamageAtRandom(image, random)));
        ReadableContent before = await ReadableContent.OfAsync(image.File);
        using TemporaryFolder folder = new();
        string path = Path.Combine(folder.Path, "damaged.qcow2");
        File.WriteAllBytes(path, image.File);
        ImageRepairReport report;
        var options = new ImageOpenOptions { Format = "qcow2", Access = NodeAccess.ReadWrite, Purpose = OpenPurpose.Repair, Backing = BackingMode.Ignore };
        await using (BlockNode node = await new ImageOpener(BuiltInFormats.All, BlockEnvironment.Default).OpenAsync(path, options))
        {
            report = await ImageChecker.RepairAsync(node, RepairMode.All);
        }

        Assert.True(report.After.IsClean, $"{damages}\n{string.Join('\n', report.After.Findings.Take(6))}\nafter\n{string.Join('\n', report.Repairs.Take(20))}");
        QemuResult said = QemuTool.Require("qemu-img").Run("check", "-f", "qcow2", path);
        Assert.True(said.ExitCode == 0, $"{damages}\n{said.Error}");
        before.AssertKeptBy(await ReadableContent.OfAsync(File.ReadAllBytes(path)), damages);
    }

    private static string DamageAtRandom(DamagedImage image, Random random)
    {
        int cluster = image.Geometry.ClusterSize;
        (string where, long table, int entries) = random.Next(5) switch
        {
            0 => ("L1", image.L1, (int)image.Header.L1Size),
            1 => ("refcount block", image.RefcountBlock, Math.Min(cluster, 512) / 8),
            2 => ("refcount table", image.RefcountTable, 2),
            _ => ("L2", LastL2(image), image.Geometry.L2Entries),
        };
        long at = table + (random.Next(entries) * 8L);
        ulong before = image.Read(at);
        ulong value = random.Next(6) switch
        {
            0 => before ^ 1UL << random.Next(64),
            1 => before + (ulong)cluster,
            2 => 0,
            3 => image.Read(table + (random.Next(entries) * 8L)),
            4 => (ulong)random.NextInt64(),
            _ => Copied | (ulong)(random.Next((int)image.Geometry.ClustersFor(image.File.Length)) * (long)cluster),
        };
        image.Write(at, value);
        return string.Create(CultureInfo.InvariantCulture, $"{where} at {at}: 0x{before:x} becomes 0x{value:x}");
    }

    /// <summary>The last sound L2 table: an earlier damage may have led the first entry elsewhere.</summary>
    private static long LastL2(DamagedImage image)
        => Enumerable.Range(0, (int)image.Header.L1Size)
            .Select(i => new L1Entry(image.Read(image.L1 + (i * 8L))))
            .Where(entry => entry.IsAllocated && entry.L2Table.IsAligned(image.Geometry) && entry.L2Table.Value + image.Geometry.ClusterSize <= image.File.Length)
            .Select(static entry => entry.L2Table.Value)
            .LastOrDefault(image.L1);
}
