using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Images.Chains;

/// <summary>A generated chain in memory, and what each of its images shows according to a model that knows nothing of formats.</summary>
internal sealed class BuiltChain
{
    private BuiltChain(BlockEnvironment environment, string name)
    {
        Environment = environment;
        Name = name;
    }

    internal BlockEnvironment Environment { get; }

    internal string Name { get; }

    /// <summary>What each image shows, oldest first.</summary>
    internal List<byte[]> Contents { get; } = [];

    internal List<ChainLayer> Layers { get; } = [];

    internal ChainLayer Top => Layers[^1];

    internal string TopPath => PathOf(Layers.Count - 1);

    internal ImageOpener Opener => new(BuiltInFormats.All, Environment);

    /// <summary>Makes the images of a chain.</summary>
    /// <param name="name">What their names begin with.</param>
    /// <param name="layers">Oldest first.</param>
    /// <param name="on">A chain whose last image is the backing file of the first; null for none.</param>
    /// <param name="environment">Where the files are; null for that of <paramref name="on"/>, or one of its own.</param>
    internal static async Task<BuiltChain> BuildAsync(string name, IReadOnlyList<ChainLayer> layers, BuiltChain? on = null, BlockEnvironment? environment = null)
    {
        var chain = new BuiltChain(on?.Environment ?? environment ?? TestEnvironment.Inline(), name);
        byte[]? below = on?.Contents[^1];
        BackingReference? backing = on is null ? null : new BackingReference(on.NameOf(on.Layers.Count - 1), FormatOf(on.Top));
        foreach (ChainLayer layer in layers)
        {
            chain.Layers.Add(layer);
            byte[] content = new byte[layer.Sectors * ChainLayer.SectorSize];
            below?.AsSpan(0, Math.Min(below.Length, content.Length)).CopyTo(content);
            await chain.CreateAsync(layer, backing, content);
            chain.Contents.Add(content);
            below = content;
            backing = new BackingReference(chain.NameOf(chain.Layers.Count - 1), FormatOf(layer));
        }

        return chain;
    }

    /// <summary>The chain that consists of the lowest image alone.</summary>
    internal BuiltChain Lowest()
    {
        var lowest = new BuiltChain(Environment, Name);
        lowest.Layers.Add(Layers[0]);
        lowest.Contents.Add(Contents[0]);
        return lowest;
    }

    internal static string FormatOf(ChainLayer layer) => layer.Format.Split(':')[0];

    internal string NameOf(int index) => $"{Name}{index}";

    internal string PathOf(int index) => "/vm/" + NameOf(index);

    internal ValueTask<BlockNode> OpenAsync(int index, NodeAccess access = NodeAccess.ReadOnly)
        => Opener.OpenAsync(PathOf(index), new ImageOpenOptions { Format = FormatOf(Layers[index]), Access = access });

    internal ValueTask<BlockNode> OpenTopAsync(NodeAccess access = NodeAccess.ReadOnly)
        => OpenAsync(Layers.Count - 1, access);

    /// <summary>The image opens by what its header says, shows this, and its check finds nothing, not even a leak.</summary>
    internal async Task AssertShowsAsync(int index, byte[] expected)
    {
        await using BlockNode image = await OpenAsync(index);
        byte[] shown = new byte[image.Length];
        await image.ReadAsync(0, shown);
        Assert.Equal(expected.Length, shown.Length);
        int equal = shown.AsSpan().CommonPrefixLength(expected);
        Assert.True(equal == shown.Length, $"'{PathOf(index)}' differs at {equal} of {shown.Length}");
        if (ImageChecker.CanCheck(image))
        {
            ImageCheckReport report = await ImageChecker.CheckAsync(image);
            Assert.True(report is { Corruptions: 0, Leaks: 0 }, string.Join('\n', report.Findings));
        }
    }

    private async Task CreateAsync(ChainLayer layer, BackingReference? backing, byte[] content)
    {
        List<string> options = [.. layer.Format.Split(':').Skip(1).SelectMany(static list => list.Split(','))];
        if (FormatOf(layer) == "add-cow")
        {
            options.Add($"image_file={NameOf(Layers.Count - 1)}.img");
        }

        var image = new NewImage
        {
            Format = FormatOf(layer),
            Length = content.Length,
            Backing = backing,
            Options = options.Select(static option => option.Split('=')).ToDictionary(static pair => pair[0], static pair => pair[1]),
        };
        await using Disk disk = await Disk.CreateAsync(PathOf(Layers.Count - 1), image, new DiskOptions { Environment = Environment });
        foreach (LayerWrite write in layer.Writes)
        {
            int start = write.Sector * ChainLayer.SectorSize;
            int length = Math.Min(write.Count * ChainLayer.SectorSize, content.Length - start);
            if (length <= 0)
            {
                continue;
            }

            if (write.Writer == 0)
            {
                content.AsSpan(start, length).Clear();
                await disk.WriteZeroesAsync(start, length);
            }
            else
            {
                Pattern.Fill(content.AsSpan(start, length), start, write.Writer);
                await disk.WriteAsync(start, content.AsMemory(start, length));
            }
        }
    }
}
