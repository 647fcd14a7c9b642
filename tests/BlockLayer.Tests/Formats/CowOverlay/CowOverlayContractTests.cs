using BlockLayer.Graph;
using BlockLayer.TestKit.Contracts;
using BlockLayer.TestKit.Formats.CowOverlay;

namespace BlockLayer.Tests.Formats.CowOverlay;

/// <summary>The promises of every node, over a base that is shorter than the disk and holds zeroes.</summary>
public sealed class CowOverlayContractTests : PersistentNodeContract
{
    private readonly CowOverlayWorld _world = new();

    private protected override async ValueTask<BlockNode> CreateAsync(long length)
    {
        await _world.WriteBaseAsync(new byte[300_000]);
        await _world.CreateAsync(length, backing: CowOverlayWorld.OverBase);
        return await _world.OpenAsync();
    }

    private protected override async ValueTask<BlockNode> ReopenAsync(NodeAccess access) => await _world.OpenAsync(access);
}

/// <summary>The same promises without a backing file, where all is in the image file from the start.</summary>
public sealed class CompleteOverlayContractTests : PersistentNodeContract
{
    private readonly CowOverlayWorld _world = new();

    private protected override async ValueTask<BlockNode> CreateAsync(long length)
    {
        await _world.CreateAsync(length, clusterSize: 65536);
        return await _world.OpenAsync();
    }

    private protected override async ValueTask<BlockNode> ReopenAsync(NodeAccess access) => await _world.OpenAsync(access);
}
