using System.Collections.Immutable;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using FsCheck;
using FsCheck.Fluent;
using Xunit;

namespace BlockLayer.Tests.Images.Chains;

/// <summary>Generated chains of all lengths and formats, rebased onto an image of their own, onto another chain, or onto nothing: the model says what they show.</summary>
public sealed class ImageRebaserModelTests
{
    private enum Onto
    {
        Nothing,
        ItsOwnBackingFile,
        TheLowest,
        AnotherChain,
        AnOverlayOfTheLowest,
    }

    [Fact]
    public void Whatever_an_image_is_based_on_it_shows_the_same()
    {
        Gen<Case> cases =
            from chain in ChainLayer.Chains(most: 4)
            from other in ChainLayer.Chains(most: 2)
            where ChainLayer.CanStandOnEachOther([.. chain, .. other])
            from onto in Gen.Elements(Enum.GetValues<Onto>())
            select new Case(chain, other, onto);
        Prop.ForAll(Arb.From(cases, Shrink), one => RunAsync(one).GetAwaiter().GetResult())
            .Check(Config.QuickThrowOnFailure.WithMaxTest(Effort.Times(300)).WithQuietOnSuccess(true));
    }

    private static IEnumerable<Case> Shrink(Case one)
        => ChainLayer.Shrink(one.Chain).Select(chain => one with { Chain = chain }).Concat(ChainLayer.Shrink(one.Other).Select(other => one with { Other = other }));

    private static async Task RunAsync(Case one)
    {
        BuiltChain chain = await BuiltChain.BuildAsync("image", one.Chain);
        string[] expected = await RebaseAsync(chain, one);
        await chain.AssertShowsAsync(chain.Layers.Count - 1, chain.Contents[^1]);
        await using BlockNode reopened = await chain.OpenTopAsync();
        Assert.Equal(expected, BackingChain.Images(reopened).Skip(1).Select(static image => image.Path!));
    }

    // Returns the files that the image is to stand on.
    private static async Task<string[]> RebaseAsync(BuiltChain chain, Case one)
    {
        var options = new ImageRebaseOptions { Workers = 2 };
        await using BlockNode image = await chain.OpenTopAsync(NodeAccess.ReadWrite);
        string[] files = [];
        for (int run = 0; run < 2; run++)
        {
            BlockNode? backing = await OpenBackingAsync(chain, one, run);
            files = backing is null ? [] : [.. BackingChain.Images(backing).Select(static node => node.Path!)];
            ImageRebaseResult planned = await ImageRebaser.MeasureAsync(image, backing);
            ImageRebaseResult done = await ImageRebaser.RebaseAsync(image, backing, options);
            Assert.Equal(planned, done);
            Assert.Equal(files, BackingChain.Images(image).Skip(1).Select(static node => node.Path!));
            Assert.True(run == 0 || done.CopiedBytes == 0, $"the second run copied {done.CopiedBytes} bytes");
        }

        return files;
    }

    private static async Task<BlockNode?> OpenBackingAsync(BuiltChain chain, Case one, int run)
    {
        switch (one.Onto)
        {
            case Onto.Nothing:
                return null;
            case Onto.ItsOwnBackingFile:
                return await chain.OpenAsync(chain.Layers.Count - 2);
            case Onto.TheLowest:
                return await chain.OpenAsync(0);
            default:
                return await OpenOtherAsync(chain, one, run);
        }
    }

    private static async Task<BlockNode> OpenOtherAsync(BuiltChain chain, Case one, int run)
    {
        if (run == 0)
        {
            ImmutableArray<ChainLayer> layers = one.Onto == Onto.AnotherChain ? one.Other : one.Other.RemoveAt(0);
            BuiltChain? on = one.Onto == Onto.AnotherChain ? null : chain.Lowest();
            await BuiltChain.BuildAsync("other", layers, on, chain.Environment);
        }

        int top = one.Onto == Onto.AnotherChain ? one.Other.Length - 1 : one.Other.Length - 2;
        var open = new ImageOpenOptions { Format = BuiltChain.FormatOf(one.Other[^1]) };
        return await chain.Opener.OpenAsync($"/vm/other{top}", open);
    }

    private sealed record Case(ImmutableArray<ChainLayer> Chain, ImmutableArray<ChainLayer> Other, Onto Onto)
    {
        public override string ToString() => $"{string.Join(" <- ", Chain)} onto {Onto}; other: {string.Join(" <- ", Other)}";
    }
}
