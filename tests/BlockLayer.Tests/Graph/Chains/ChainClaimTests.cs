using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Graph;

/// <summary>Which jobs can work on one chain at the same time. The chain is 4 (top) on 3, 2, 1 and 0.</summary>
public sealed class ChainClaimTests : IAsyncDisposable
{
    private readonly MemoryOverlayNode[] _images = new MemoryOverlayNode[5];

    public ChainClaimTests()
    {
        BlockEnvironment environment = TestEnvironment.Inline();
        for (int i = 0; i < _images.Length; i++)
        {
            _images[i] = new MemoryOverlayNode($"{i}", 4096, 512, environment, i == 0 ? null : _images[i - 1]);
        }
    }

    public ValueTask DisposeAsync() => _images[^1].DisposeAsync();

    [Theory]
    [InlineData(4, 3, 2, 1, true)]
    [InlineData(2, 1, 4, 3, true)]
    [InlineData(4, 2, 3, 1, false)]
    [InlineData(3, 1, 4, 2, false)]
    [InlineData(4, 2, 2, 1, false)]
    [InlineData(4, 0, 1, 1, false)]
    [InlineData(2, 2, 2, 2, false)]
    public void Two_jobs_work_side_by_side_where_neither_changes_what_the_other_uses(int top, int bottom, int otherTop, int otherBottom, bool allowed)
    {
        using ChainClaim first = ChainClaim.Take(_images[top], _images[bottom], "the first");
        if (allowed)
        {
            ChainClaim.Take(_images[otherTop], _images[otherBottom], "the second").Dispose();
            return;
        }

        BlockLayerException refused = Assert.Throws<BlockLayerException>(() => ChainClaim.Take(_images[otherTop], _images[otherBottom], "the second"));
        Assert.Equal(BlockErrorKind.Conflict, refused.Kind);
        Assert.Matches("^the second needs '[0-4]', which the first is working on\\.$", refused.Message);
        first.Dispose();
        ChainClaim.Take(_images[otherTop], _images[otherBottom], "the second").Dispose(); // the refused claim left nothing behind
    }

    [Fact]
    public void The_links_between_claimed_images_are_frozen_and_the_one_below_them_is_not()
    {
        using ChainClaim claim = ChainClaim.Take(_images[3], _images[1], "a job");
        Assert.Equal([false, true, true, false], new[] { 4, 3, 2, 1 }.Select(image => IsFrozen(_images[image])));
        claim.Thaw();
        Assert.DoesNotContain(_images.Skip(1), IsFrozen);
        Assert.Throws<BlockLayerException>(() => ChainClaim.Take(_images[3], _images[1], "another"));
    }

    private static bool IsFrozen(BlockNode image)
    {
        try
        {
            image.ThrowIfCannotReplaceChild(image.BackingEdge!, replacement: null);
            return false;
        }
        catch (BlockLayerException refused) when (refused.Kind == BlockErrorKind.Conflict)
        {
            return true;
        }
    }
}
