using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Formats.Qcow2;
using Xunit;

namespace BlockLayer.Interop.Tests.Qcow2;

/// <summary>Images whose data is in another file: only tables are counted and repaired, and the data file is left alone.</summary>
public sealed class DataFileRepairTests
{
    public static MatrixTheoryData<string, string> Cases => new(
        ["q7-datafile", "q7-datafileraw"],
        [
            "L1 entry: copied flag", "L2 entry: copied flag", "L2 entry: reserved low bit", "L1 entry: reserved bit", "refcounts: L2 table free", "refcounts: everything free",
            "refcounts: everything as often as can be", "refcount table: block dropped", "refcount table: the L1 table", "header: corrupt bit",
        ]);

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task Repaired_image_is_clean_to_QEMU_and_its_data_file_unchanged(string name, string damage)
    {
        using TemporaryFolder folder = new();
        string golden = GoldenImages.Get($"{name}.qcow2").Path;
        DamagedImage image = new(File.ReadAllBytes(golden));
        Damage.Apply(damage, image);
        string path = folder.File("image.qcow2");
        string data = folder.File(image.Header.DataFileName!);
        File.WriteAllBytes(path, image.File);
        File.Copy(Path.ChangeExtension(golden, ".data"), data);
        byte[] content = File.ReadAllBytes(data);
        await using (BlockNode node = await new ImageOpener(BuiltInFormats.All, BlockEnvironment.Default).OpenAsync(
            path, new ImageOpenOptions { Format = "qcow2", Access = NodeAccess.ReadWrite, Purpose = OpenPurpose.Repair, Backing = BackingMode.Ignore }))
        {
            ImageRepairReport report = await ImageChecker.RepairAsync(node, RepairMode.All, cancellationToken: TestContext.Current.CancellationToken);
            Assert.True(report.After.IsClean, string.Join('\n', report.After.Findings.Take(5)));
        }

        QemuResult said = QemuTool.Require("qemu-img").Run("check", "--image-opts", $"driver=qcow2,file.filename={path},data-file.driver=file,data-file.filename={data}");
        Assert.True(said.ExitCode == 0, said.Error + said.Output);
        Assert.Equal(content, File.ReadAllBytes(data));
    }
}
