using BlockLayer.Errors;
using BlockLayer.Graph;
using Xunit;

namespace BlockLayer.TestKit.Contracts;

/// <summary>What every node promises whose content outlives it.</summary>
public abstract class PersistentNodeContract : NodeContract
{
    /// <summary>The disk that was made last, opened again after its node was disposed.</summary>
    private protected abstract ValueTask<BlockNode> ReopenAsync(NodeAccess access);

    [Fact]
    public async Task What_was_written_is_there_after_reopening()
    {
        BlockNode node = await CreateAsync(Length);
        byte[] model = new byte[Length];
        Pattern.Fill(model.AsSpan(1000, 200_000), 1000, writer: 3);
        await node.WriteAsync(1000, model.AsMemory(1000, 200_000));
        await node.DisposeAsync();

        await using BlockNode reopened = await ReopenAsync(NodeAccess.ReadOnly);
        await AssertReadsAsync(reopened, model);
        await AssertKindAsync(BlockErrorKind.ReadOnly, () => reopened.WriteAsync(0, new byte[] { 1 }));
        await AssertKindAsync(BlockErrorKind.ReadOnly, () => reopened.WriteZeroesAsync(0, 1));
        await AssertKindAsync(BlockErrorKind.ReadOnly, () => reopened.DiscardAsync(0, 1));
    }
}
