using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Images.Hostile;

/// <summary>Names of one add-cow overlay that are different and lead to one file.</summary>
public sealed class OverlayLinkCorpusTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly WatchedFiles _files = new(LocalStorageProvider.Instance);

    public void Dispose()
    {
        Assert.Equal(0, _files.Open);
        _folder.Dispose();
    }

    [Theory]
    [InlineData("base", "image")]
    [InlineData("image", "base")]
    [InlineData("base", "overlay")]
    [InlineData("image", "overlay")]
    [CorpusCase("4 names equal by a link")]
    public async Task A_link_between_the_files_of_an_overlay_is_found(string replaced, string target)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "links are those of Linux");
        BlockEnvironment environment = BlockEnvironment.Default with { Files = _files };
        await File.WriteAllBytesAsync(_folder.File("base"), Pattern.Of(0, 100_000 & ~511, writer: 1));
        await new ImageCreator(BuiltInFormats.All, environment).CreateAsync(
            _folder.File("overlay"),
            new NewImage { Format = "add-cow", Length = 100_000 & ~511, Backing = new BackingReference("base", "raw"), Options = new Dictionary<string, string> { ["image_file"] = "image" } },
            OpenPolicy.Default);
        File.Delete(_folder.File(replaced));
        File.CreateSymbolicLink(_folder.File(replaced), target);
        byte[] before = await File.ReadAllBytesAsync(_folder.File(target));
        foreach (NodeAccess access in new[] { NodeAccess.ReadOnly, NodeAccess.ReadWrite })
        {
            var options = new ImageOpenOptions { Format = "add-cow", Access = access };
            BlockLayerException refused = await Assert.ThrowsAnyAsync<BlockLayerException>(
                async () => await new ImageOpener(BuiltInFormats.All, environment).OpenAsync(_folder.File("overlay"), options));
            Assert.True(refused.Kind is BlockErrorKind.InvalidFormat or BlockErrorKind.Conflict, refused.Message);
        }

        Assert.Equal(before, await File.ReadAllBytesAsync(_folder.File(target)));
    }
}
