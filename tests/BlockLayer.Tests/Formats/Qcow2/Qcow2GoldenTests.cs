using System.Security.Cryptography;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2;

/// <summary>Images written by QEMU read as their guests left them, or are refused by the name of the feature that is missing.</summary>
public sealed class Qcow2GoldenTests
{
    public static TheoryData<string> Images => [.. GoldenImages.OfFormat("qcow2").Select(image => image.Name)];

    [Theory]
    [MemberData(nameof(Images))]
    public async Task An_image_of_qemu_reads_as_its_guest_left_it_or_is_refused_by_name(string name)
    {
        GoldenImage image = GoldenImages.Get(name);
        byte[] before = await File.ReadAllBytesAsync(image.Path);
        if (UnimplementedFeature(name) is { } feature)
        {
            BlockLayerException refused = await Assert.ThrowsAnyAsync<BlockLayerException>(async () => await OpenAsync(image.Path));
            Assert.Equal(BlockErrorKind.Unsupported, refused.Kind);
            Assert.Contains(feature, refused.Message, StringComparison.Ordinal);
            return;
        }

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
    public async Task An_image_with_the_dirty_bit_is_read_and_not_opened_for_writing(string name)
    {
        using var folder = new TemporaryFolder();
        string copy = folder.File(name);
        File.Copy(GoldenImages.Get(name).Path, copy);
        var options = new ImageOpenOptions { Format = "qcow2", Access = NodeAccess.ReadWrite, Policy = OpenPolicy.QemuCompatible };
        var opener = new ImageOpener(BuiltInFormats.All, BlockEnvironment.Default);

        BlockLayerException refused = await Assert.ThrowsAnyAsync<BlockLayerException>(async () => await opener.OpenAsync(copy, options));

        Assert.Equal(BlockErrorKind.Corrupt, refused.Kind);
        Assert.Contains("dirty", refused.Message, StringComparison.Ordinal);
    }

    private static async ValueTask<BlockNode> OpenAsync(string path)
        => await new ImageOpener(BuiltInFormats.All, BlockEnvironment.Default)
            .OpenAsync(path, new ImageOpenOptions { Format = "qcow2", Policy = OpenPolicy.QemuCompatible });

    private static string? UnimplementedFeature(string name)
        => name.Contains("extl2", StringComparison.Ordinal) ? "Extended L2 Entries"
            : name.Contains("datafile", StringComparison.Ordinal) ? "External data file"
            : null;

    private static string Hash(byte[] content) => Convert.ToHexStringLower(SHA256.HashData(content));
}
