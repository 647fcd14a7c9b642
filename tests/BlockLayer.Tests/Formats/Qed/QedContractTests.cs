using BlockLayer.Formats.Qed;
using BlockLayer.Graph;
using BlockLayer.TestKit.Contracts;
using BlockLayer.TestKit.Formats.Qed;

namespace BlockLayer.Tests.Formats.Qed;

public sealed class QedContractTests : PersistentNodeContract
{
    private readonly QedWorld _world = new();

    private protected override async ValueTask<BlockNode> CreateAsync(long length)
    {
        await _world.CreateAsync("/disk.qed", new QedCreateOptions { Length = length });
        return await _world.OpenAsync("/disk.qed");
    }

    private protected override ValueTask<BlockNode> ReopenAsync(NodeAccess access) => OpenAsync(access);

    private async ValueTask<BlockNode> OpenAsync(NodeAccess access) => await _world.OpenAsync("/disk.qed", access: access);
}
