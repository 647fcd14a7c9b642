using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Graph;

/// <summary>Whatever name is recorded, an open of the overlay has to find the very file that is open now.</summary>
public class BackingNameTests
{
    private readonly BlockEnvironment _environment = TestEnvironment.Inline();
    private readonly ImageOpener _opener;

    public BackingNameTests() => _opener = new ImageOpener(new FormatRegistry(new LinkFormat()), _environment);

    [Theory]
    [InlineData("base", "d/new", "new")]
    [InlineData("base", "d/sub/new", "sub/new")]
    [InlineData("sub/base", "d/new", "new")]
    [InlineData("/d/base", "d/new", "/d/new")]
    [InlineData("base", "d/new:2", "./new:2")]
    [InlineData("base", "d/sub/new:2", "sub/new:2")]
    [InlineData("base", "new", "../new")]
    public async Task A_computed_name_is_relative_if_the_old_one_was_and_leads_to_the_file(string oldName, string newBase, string recorded)
    {
        await WriteAsync("d/base");
        await WriteAsync("d/sub/base");
        await WriteAsync(newBase);
        await WriteAsync("d/top", oldName);
        BackingReference reference;
        await using (BlockNode top = await OpenAsync("d/top", BackingMode.Open))
        {
            await using BlockNode fresh = await OpenAsync(newBase, BackingMode.Ignore);
            reference = BackingName.ReferenceTo(top, fresh, name: null);
            Assert.Equal((recorded, "link"), (reference.Name, reference.Format));
        }

        await WriteAsync("d/top", reference.Name);
        await using BlockNode again = await OpenAsync("d/top", BackingMode.Open);
        Assert.Equal(
            _environment.Files.GetRealPath(newBase), _environment.Files.GetRealPath(Assert.IsType<string>(again.Backing?.Path)));
    }

    [Theory]
    [InlineData("other", BlockErrorKind.Conflict, "'d/other' is another file")]
    [InlineData("none", BlockErrorKind.NotFound, "there is nothing at 'd/none'")]
    [InlineData("new:2", BlockErrorKind.Unsupported, "'new:' makes it the name of a protocol")]
    public async Task A_given_name_that_would_not_lead_there_is_refused(string name, BlockErrorKind kind, string why)
    {
        await WriteAsync("d/base");
        await WriteAsync("d/other");
        await WriteAsync("d/new:2");
        await WriteAsync("d/top", "base");
        await using BlockNode top = await OpenAsync("d/top", BackingMode.Open);
        await using BlockNode fresh = await OpenAsync("d/new:2", BackingMode.Ignore);
        BlockLayerException refused = Assert.Throws<BlockLayerException>(() => BackingName.ReferenceTo(top, fresh, name));
        Assert.Equal(kind, refused.Kind);
        Assert.Equal($"'{name}' cannot be recorded as the backing file of 'd/top': it has to lead to 'd/new:2', but {why}.", refused.Message);
        Assert.Equal("./new:2", BackingName.ReferenceTo(top, fresh, "./new:2").Name);
    }

    private ValueTask<BlockNode> OpenAsync(string path, BackingMode backing)
        => _opener.OpenAsync(
            path, new ImageOpenOptions { Format = "link", Backing = backing, Policy = OpenPolicy.Default with { AllowedRoots = ["/"] } });

    private Task WriteAsync(string path, string? backing = null) => LinkFormat.WriteAsync(_environment.Files, path, backing);
}
