using System.Security.Cryptography;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2;

/// <summary>Images written by QEMU read as their guests left them.</summary>
public sealed class Qcow2GoldenTests
{
    public static TheoryData<string> Images => [.. GoldenImages.OfFormat("qcow2").Select(image => image.Name)];

    [Theory]
    [MemberData(nameof(Images))]
    public async Task An_image_of_qemu_reads_as_its_guest_left_it(string name)
    {
        GoldenImage image = GoldenImages.Get(name);
        byte[] before = await File.ReadAllBytesAsync(image.Path);
        await using (BlockNode node = await OpenAsync(image.Path))
        {
            Assert.Equal(image.VirtualSize, node.Length);
            byte[] content = new byte[node.Length];
            await node.ReadAsync(0, content);
            Assert.Equal(image.GuestSha256 ?? Hash(content), Hash(content));
        }

        byte[] after = await File.ReadAllBytesAsync(image.Path);
        Assert.True(before.AsSpan().SequenceEqual(after), "opening and reading changed the file");
    }

    [Theory]
    [InlineData("q7-lazy-dirty.qcow2")]
    [InlineData("q11-lazy-dirty.qcow2")]
    public async Task The_refcounts_of_a_dirty_image_are_rebuilt_before_the_first_write_and_not_earlier(string name)
    {
        using var folder = new TemporaryFolder();
        string copy = folder.File(name);
        File.Copy(GoldenImages.Get(name).Path, copy);
        byte[] before = await File.ReadAllBytesAsync(copy);
        var options = new ImageOpenOptions { Format = "qcow2", Access = NodeAccess.ReadWrite, Policy = OpenPolicy.QemuCompatible };
        var opener = new ImageOpener(BuiltInFormats.All, BlockEnvironment.Default);
        byte[] content;
        await using (BlockNode node = await opener.OpenAsync(copy, options))
        {
            content = new byte[node.Length];
            await node.ReadAsync(0, content);
            Assert.True((await ImageChecker.CheckAsync(node)).Corruptions > 0, "the image was not stale to begin with");
        }

        byte[] after = await File.ReadAllBytesAsync(copy);
        Assert.True(before.AsSpan().SequenceEqual(after), "reading changed the file");

        await using (BlockNode node = await opener.OpenAsync(copy, options))
        {
            content[1_000_000] ^= 0xff;
            await node.WriteAsync(1_000_000, content.AsMemory(1_000_000, 1));
            byte[] found = new byte[node.Length];
            await node.ReadAsync(0, found);
            Assert.True(found.AsSpan().SequenceEqual(content));
            ImageCheckReport report = await ImageChecker.CheckAsync(node);
            Assert.True(report is { Corruptions: 0, Leaks: 0 }, string.Join('\n', report.Findings));
        }

        after = await File.ReadAllBytesAsync(copy);
        Assert.Equal(0, after[79] & 1); // incompatible_features, bit 0: dirty
    }

    private static async ValueTask<BlockNode> OpenAsync(string path)
        => await new ImageOpener(BuiltInFormats.All, BlockEnvironment.Default)
            .OpenAsync(path, new ImageOpenOptions { Format = "qcow2", Policy = OpenPolicy.QemuCompatible });

    private static string Hash(byte[] content) => Convert.ToHexStringLower(SHA256.HashData(content));
}
