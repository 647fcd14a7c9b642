using BlockLayer.Graph;
using BlockLayer.TestKit.Contracts;
using BlockLayer.TestKit.Formats.Qed;

namespace BlockLayer.Tests.Formats.Qed;

/// <summary>The same promises with small clusters over a base that is shorter than the disk and holds zeroes.</summary>
public sealed class QedOverlayContractTests : PersistentNodeContract
{
    private readonly QedWorld _world = new();

    private protected override async ValueTask<BlockNode> CreateAsync(long length)
    {
        await _world.CreateRawAsync("/base.raw", new byte[300_000]);
        await _world.CreateAsync("/disk.qed", QedWorld.Small(length) with { Backing = new BackingReference("base.raw", "raw") });
        return await _world.OpenAsync("/disk.qed", "/base.raw");
    }

    private protected override ValueTask<BlockNode> ReopenAsync(NodeAccess access) => OpenAsync(access);

    private async ValueTask<BlockNode> OpenAsync(NodeAccess access) => await _world.OpenAsync("/disk.qed", "/base.raw", access);
}
