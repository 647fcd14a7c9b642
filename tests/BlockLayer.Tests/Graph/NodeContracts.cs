using BlockLayer.Graph;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Contracts;
using BlockLayer.TestKit.Graph;

namespace BlockLayer.Tests.Graph;

/// <summary>The protocol node over memory.</summary>
public class StorageNodeContract : PersistentNodeContract
{
    private readonly BlockEnvironment _environment = TestEnvironment.Inline();

    private protected override async ValueTask<BlockNode> CreateAsync(long length)
    {
        var options = new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateNew };
        BlockStorage file = await _environment.Files.OpenAsync("disk", options, default);
        await file.SetLengthAsync(length, default);
        return new StorageNode(file, _environment);
    }

    private protected override ValueTask<BlockNode> ReopenAsync(NodeAccess access) => OpenAsync(access);

    private async ValueTask<BlockNode> OpenAsync(NodeAccess access)
        => new StorageNode(await _environment.Files.OpenAsync("disk", new StorageOpenOptions { Writable = access == NodeAccess.ReadWrite }, default), _environment);
}

/// <summary>A filter that changes nothing, over a node whose transfers are short.</summary>
public class PassThroughContract : NodeContract
{
    private protected override async ValueTask<BlockNode> CreateAsync(long length)
        => new PassThroughNode(
            await ScriptedNode.CreateAsync(TestEnvironment.Inline(), length, new BlockLimits { MaxTransfer = 10_000, DiscardGranularity = 4096 }),
            ImagePermissions.All,
            ImagePermissions.All);
}

/// <summary>A node that takes whole units of 4096 bytes only; the length of the contract's disk is none of their multiples.</summary>
public class AlignedNodeContract : NodeContract
{
    private protected override async ValueTask<BlockNode> CreateAsync(long length)
        => await ScriptedNode.CreateAsync(TestEnvironment.Inline(), length, new BlockLimits { RequestAlignment = 4096, MaxTransfer = 65_536 });
}

/// <summary>A filter over a node of whole sectors: the filter aligns nothing, its child does.</summary>
public class PassThroughAlignedContract : NodeContract
{
    private protected override async ValueTask<BlockNode> CreateAsync(long length)
        => new PassThroughNode(
            await ScriptedNode.CreateAsync(TestEnvironment.Inline(), length, new BlockLimits { RequestAlignment = 512, MaxTransfer = 5000 }),
            ImagePermissions.All,
            ImagePermissions.All);
}
