using System.Collections.Immutable;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using FsCheck;
using FsCheck.Fluent;
using Xunit;

namespace BlockLayer.Tests.Images.Chains;

/// <summary>Generated chains of all lengths and formats, committed into any image below: the model says what base and image show afterwards.</summary>
public sealed class ImageCommitterModelTests
{
    [Fact]
    public void The_base_shows_what_the_image_showed_and_so_does_the_image()
    {
        Gen<Case> cases =
            from chain in ChainLayer.Chains(most: 4)
            from depth in Gen.Choose(1, 3)
            from committed in Gen.Elements(CommittedImage.Empty, CommittedImage.Keep)
            select new Case(chain, depth, committed);
        Prop.ForAll(Arb.From(cases, Shrink), one => RunAsync(one).GetAwaiter().GetResult())
            .Check(Config.QuickThrowOnFailure.WithMaxTest(Effort.Times(300)).WithQuietOnSuccess(true));
    }

    private static IEnumerable<Case> Shrink(Case one) => ChainLayer.Shrink(one.Chain).Select(chain => one with { Chain = chain });

    private static async Task RunAsync(Case one)
    {
        BuiltChain chain = await BuiltChain.BuildAsync("image", one.Chain);
        int top = chain.Layers.Count - 1;
        int basis = Math.Max(0, top - one.Depth);
        byte[] shown = chain.Contents[top];
        byte[] expected = [.. shown, .. chain.Contents[basis].Skip(shown.Length)];
        bool empties = one.Committed == CommittedImage.Empty && basis == top - 1;

        ImageCommitResult first = await CommitAsync(chain, basis, one.Committed);
        Assert.Equal(empties, first.EmptiesImage);
        Assert.Equal(Math.Max(0, shown.Length - chain.Contents[basis].Length), first.GrownBytes);
        await chain.AssertShowsAsync(basis, expected);
        await chain.AssertShowsAsync(top, shown);

        ImageCommitResult second = await CommitAsync(chain, basis, one.Committed);
        Assert.Equal((empties ? 0 : first.CopiedBytes, 0), (second.CopiedBytes, second.GrownBytes));
        await chain.AssertShowsAsync(basis, expected);
        await chain.AssertShowsAsync(top, shown);
    }

    private static async Task<ImageCommitResult> CommitAsync(BuiltChain chain, int basis, CommittedImage committed)
    {
        var options = new ImageCommitOptions { Committed = committed, Workers = 2 };
        await using BlockNode image = await chain.OpenTopAsync(NodeAccess.ReadWrite);
        BlockNode target = BackingChain.FindByPath(image, chain.PathOf(basis));
        ImageCommitResult planned = await ImageCommitter.MeasureAsync(image, target, options);
        ImageCommitResult done = await ImageCommitter.CommitAsync(image, target, options);
        Assert.Equal(planned, done);
        return done;
    }

    private sealed record Case(ImmutableArray<ChainLayer> Chain, int Depth, CommittedImage Committed)
    {
        public override string ToString() => $"{string.Join(" <- ", Chain)} into {Depth} below, {Committed}";
    }
}
