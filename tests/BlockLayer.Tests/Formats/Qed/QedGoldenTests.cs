using System.Security.Cryptography;
using BlockLayer.Formats.Qed;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Formats.Qed;

/// <summary>Images that QEMU 7.2 and 11 wrote.</summary>
public sealed class QedGoldenTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private readonly BlockEnvironment _environment = new()
    {
        Files = LocalStorageProvider.Instance,
        Work = ThreadPoolWorkScheduler.Instance,
        Time = TimeProvider.System,
    };

    public static TheoryData<string> Clean => [.. GoldenImages.OfFormat("qed").Where(image => image.GuestSha256 is not null).Select(image => image.Name)];

    public static TheoryData<string> Dirty => [.. GoldenImages.OfFormat("qed").Where(image => image.GuestSha256 is null).Select(image => image.Name)];

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(Clean))]
    public async Task A_guest_reads_what_it_read_under_QEMU_and_the_check_is_clean(string name)
    {
        GoldenImage image = GoldenImages.Get(name);
        await using BlockNode node = await OpenAsync(image.Path, NodeAccess.ReadOnly);
        byte[] content = new byte[node.Length];
        await node.ReadAsync(0, content);

        Assert.Equal(image.VirtualSize, node.Length);
        Assert.Equal(image.GuestSha256, Convert.ToHexStringLower(SHA256.HashData(content)));
        ImageCheckReport check = await ImageChecker.CheckAsync(node);
        Assert.Equal((0L, 0L), (check.Corruptions, check.Leaks));
        Assert.True(check.AllocatedClusters > 0);
    }

    [Theory]
    [MemberData(nameof(Dirty))]
    public async Task An_image_left_unclean_is_read_as_it_is_and_checked_when_it_is_opened_to_be_written(string name)
    {
        string path = _folder.File(name);
        File.Copy(GoldenImages.Get(name).Path, path);
        byte[] before = File.ReadAllBytes(path);
        await using (BlockNode reader = await OpenAsync(path, NodeAccess.ReadOnly))
        {
            Assert.True(((QedNode)reader).Header.NeedsCheck);
            await reader.ReadAsync(0, new byte[reader.Length]);
        }

        Assert.Equal(before, File.ReadAllBytes(path));
        await (await OpenAsync(path, NodeAccess.ReadWrite)).DisposeAsync();
        Assert.False(QedHeader.Parse(File.ReadAllBytes(path)).NeedsCheck);
        await using BlockNode again = await OpenAsync(path, NodeAccess.ReadOnly);
        Assert.Equal(0, (await ImageChecker.CheckAsync(again)).Corruptions);
    }

    [Fact]
    public async Task Opening_to_write_and_closing_changes_no_byte_of_a_clean_image()
    {
        string path = _folder.File("clean.qed");
        File.Copy(GoldenImages.Get("q11-qed.qed").Path, path);
        byte[] before = File.ReadAllBytes(path);
        await (await OpenAsync(path, NodeAccess.ReadWrite)).DisposeAsync();
        Assert.Equal(before, File.ReadAllBytes(path));
    }

    private ValueTask<BlockNode> OpenAsync(string path, NodeAccess access)
        => new ImageOpener(BuiltInFormats.All, _environment).OpenAsync(path, new ImageOpenOptions { Format = "qed", Access = access });
}
