using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Images;

public sealed class ImageCreatorTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    /// <summary>A mistake in a command must not cost the image that it would have replaced.</summary>
    [Theory]
    [InlineData("raw", "", -1)]
    [InlineData("raw", "preallocation=metadata", 512)]
    [InlineData("qcow2", "", -1)]
    [InlineData("qcow2", "", long.MaxValue)]
    [InlineData("qcow2", "cluster_size=512", 1L << 40)]
    [InlineData("qcow2", "encrypt.format=luks", long.MaxValue)]
    [InlineData("qed", "", long.MaxValue)]
    [InlineData("qed", "table_size=3", 1 << 20)]
    [InlineData("qed", "cluster_size=1k", 1 << 20)]
    [InlineData("add-cow", "", 1 << 20)]
    [InlineData("add-cow", "image_file=data,cluster_size=512", 1 << 20)]
    public async Task What_a_format_does_not_take_is_refused_before_the_file_that_stands_there_is_touched(string format, string options, long length)
    {
        string path = Occupy();
        var image = new NewImage
        {
            Format = format,
            Length = length,
            Options = options.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(option => option.Split('=')).ToDictionary(pair => pair[0], pair => pair[1]),
            Secrets = new ImageSecrets(Passphrase.FromText("secret")),
        };
        await Assert.ThrowsAsync<ArgumentException>(async () => await CreateAsync(path, image));
        AssertUntouched(path);
    }

    [Theory]
    [InlineData("qcow2", 1023)]
    [InlineData("qed", 1023)]
    public async Task A_backing_name_that_does_not_fit_is_refused_before_the_file_that_stands_there_is_touched(string format, int fits)
    {
        string path = Occupy();
        NewImage Over(int length) => new()
        {
            Format = format,
            Length = 1 << 20,
            Backing = new BackingReference(new string('a', length), "raw"),
            Verification = BackingVerification.None,
        };
        await Assert.ThrowsAnyAsync<BlockLayerException>(async () => await CreateAsync(path, Over(fits + 1)));
        AssertUntouched(path);
        await CreateAsync(path, Over(fits));
    }

    [Fact]
    public async Task A_raw_image_over_a_backing_file_is_refused_before_the_file_that_stands_there_is_touched()
    {
        string path = Occupy();
        var image = new NewImage { Format = "raw", Length = 512, Backing = new BackingReference("base", "raw"), Verification = BackingVerification.None };
        await Assert.ThrowsAsync<ArgumentException>(async () => await CreateAsync(path, image));
        AssertUntouched(path);
    }

    public void Dispose() => _folder.Dispose();

    private static async Task CreateAsync(string path, NewImage image)
        => await new ImageCreator(BuiltInFormats.All, BlockEnvironment.Default).CreateAsync(path, image, OpenPolicy.Default);

    private string Occupy()
    {
        string path = _folder.File("image");
        File.WriteAllText(path, "precious");
        return path;
    }

    private void AssertUntouched(string path)
    {
        Assert.Equal("precious", File.ReadAllText(path));
        Assert.Equal([path], Directory.GetFiles(_folder.Path));
    }
}
