using System.Globalization;
using System.Text.Json;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Formats.Qcow2;
using Xunit;

namespace BlockLayer.Interop.Tests.Qcow2;

/// <summary>Our check counts what <c>qemu-img check</c> counts, on sound images and on damaged ones.</summary>
public sealed class CheckInteropTests
{
    private const ulong Copied = 1UL << 63;

    public static TheoryData<GoldenImage> Images => new(GoldenImages.OfFormat("qcow2"));

    public static TheoryData<string, string> Damages
    {
        get
        {
            TheoryData<string, string> data = [];
            foreach (string image in (string[])["q7-v3.qcow2", "q7-v2.qcow2", "q7-c512.qcow2", "q7-rc1.qcow2", "q7-rc64.qcow2", "q7-snap.qcow2", "q7-bitmap.qcow2", "q7-zlibmix.qcow2", "q7-extl2-zero.qcow2"])
            {
                DamagedImage sound = new(File.ReadAllBytes(GoldenImages.Get(image).Path));
                foreach (string damage in Damage.Names.Where(damage => Damage.IsCountedByQemu(damage) && Damage.Fits(damage, sound)))
                {
                    data.Add(image, damage);
                }
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Images), DisableDiscoveryEnumeration = true)]
    public async Task Numbers_of_a_sound_image_are_QEMUs(GoldenImage image)
        => AssertSame(QemuCheck(image.Path), await OwnCheck(File.ReadAllBytes(image.Path)));

    [Fact]
    public async Task Numbers_are_QEMUs_when_bitmaps_are_out_of_date()
    {
        byte[] file = File.ReadAllBytes(GoldenImages.Get("q7-bitmap.qcow2").Path);
        (Qcow2Header.Parse(file) with { Autoclear = AutoclearFeatures.None }).WriteTo(file);
        using TemporaryFolder folder = new();
        string path = Path.Combine(folder.Path, "stale.qcow2");
        File.WriteAllBytes(path, file);
        ImageCheckReport report = await OwnCheck(file);
        Assert.NotEqual(0, report.Leaks);
        AssertSame(QemuCheck(path), report);
    }

    [Theory]
    [MemberData(nameof(Damages))]
    public async Task Numbers_of_a_damaged_image_are_QEMUs(string name, string damage)
    {
        DamagedImage image = new(File.ReadAllBytes(GoldenImages.Get(name).Path));
        Damage.Apply(damage, image);
        using TemporaryFolder folder = new();
        string path = Path.Combine(folder.Path, "damaged.qcow2");
        File.WriteAllBytes(path, image.File);
        AssertSame(QemuCheck(path), await OwnCheck(image.File));
    }

    /// <summary>Several words of metadata at once, changed in ways that keep them plausible.</summary>
    [Theory]
    [InlineData("q7-c4k.qcow2", 1)]
    [InlineData("q7-c512.qcow2", 2)]
    [InlineData("q7-snap.qcow2", 3)]
    [InlineData("q7-zlib2k.qcow2", 4)]
    [InlineData("q7-rc2.qcow2", 5)]
    public async Task Numbers_of_randomly_damaged_images_are_QEMUs(string name, int seed)
    {
        Random random = new(seed);
        using TemporaryFolder folder = new();
        string path = Path.Combine(folder.Path, "damaged.qcow2");
        for (int round = 0; round < 25; round++)
        {
            DamagedImage image = new(File.ReadAllBytes(GoldenImages.Get(name).Path));
            string damages = string.Join("; ", Enumerable.Range(0, random.Next(1, 6)).Select(_ => RandomDamage(image, random)));
            File.WriteAllBytes(path, image.File);
            AssertSame(QemuCheck(path), await OwnCheck(image.File), $"round {round}: {damages}");
        }
    }

    private static string RandomDamage(DamagedImage image, Random random)
    {
        int cluster = image.Geometry.ClusterSize;
        (string where, long table, int entries) = random.Next(4) switch
        {
            0 => ("L1", image.L1, (int)image.Header.L1Size),
            1 => ("L2", LastL2(image), image.Geometry.L2Entries),
            2 => ("refcount block", image.RefcountBlock, Math.Min(cluster, 512) / 8),
            _ => ("refcount table", image.RefcountTable, 2),
        };
        long at = table + random.Next(entries) * 8L;
        ulong before = image.Read(at);
        ulong value = random.Next(5) switch
        {
            0 => before ^ 1UL << random.Next(64),
            1 => before + (ulong)cluster,
            2 => 0,
            3 => image.Read(table + random.Next(entries) * 8L),
            _ => Copied | (ulong)(random.Next((int)image.Geometry.ClustersFor(image.File.Length)) * (long)cluster),
        };
        image.Write(at, value);
        return string.Create(CultureInfo.InvariantCulture, $"{where} at {at}: 0x{before:x} becomes 0x{value:x}");
    }

    /// <summary>The last sound L2 table: an earlier damage may have led the first entry elsewhere.</summary>
    private static long LastL2(DamagedImage image)
        => Enumerable.Range(0, (int)image.Header.L1Size)
            .Select(i => new L1Entry(image.Read(image.L1 + i * 8L)))
            .Where(entry => entry.IsAllocated && entry.L2Table.IsAligned(image.Geometry) && entry.L2Table.Value + image.Geometry.ClusterSize <= image.File.Length)
            .Select(static entry => entry.L2Table.Value)
            .LastOrDefault(image.L1);

    private static async Task<ImageCheckReport> OwnCheck(byte[] file)
    {
        Qcow2Header header = Qcow2Header.Parse(file);
        header.Validate(file.Length);
        return await Qcow2Checker.CheckAsync(new MetadataBytes(file), header, progress: null, TestContext.Current.CancellationToken);
    }

    private static JsonElement QemuCheck(string path)
    {
        // A data file is looked for in the working directory unless it is named.
        string data = Path.ChangeExtension(path, ".data");
        string options = File.Exists(data) ? $",data-file.driver=file,data-file.filename={data}" : "";
        QemuResult result = QemuTool.Require("qemu-img").Run("check", "--output=json", "--image-opts", $"driver=qcow2,file.filename={path}{options}");
        Assert.True(result.Output.Length > 0, $"qemu-img check said nothing but: {result.Error}");
        return JsonDocument.Parse(result.Output).RootElement;
    }

    private static void AssertSame(JsonElement expected, ImageCheckReport actual, string context = "")
    {
        // QEMU's check passes over zero flags in version 2, although its reads fail at them.
        long corruptions = actual.Corruptions - actual.Findings.Count(static finding => finding.Message.Contains("which version 2 does not have", StringComparison.Ordinal));
        string findings = string.Join('\n', actual.Findings.Take(20).Select(static finding => finding.Message));
        Assert.True(
            Describe(Number("corruptions"), Number("leaks"), Number("check-errors"), Number("total-clusters"), Number("allocated-clusters"), Number("fragmented-clusters"), Number("compressed-clusters"), Number("image-end-offset"))
                == Describe(corruptions, actual.Leaks, actual.CheckErrors, actual.TotalClusters, actual.AllocatedClusters, actual.FragmentedClusters, actual.CompressedClusters, actual.ImageEndOffset),
            $"{context}\nQEMU: {expected}\nwe: {actual}\n{findings}");

        long Number(string name) => expected.TryGetProperty(name, out JsonElement value) ? value.GetInt64() : 0;

        static string Describe(params long[] numbers) => string.Join(' ', numbers);
    }
}
