using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Storage;
using BlockLayer.TestKit.Contracts;
using BlockLayer.TestKit.Graph;

namespace BlockLayer.Tests.Filters;

/// <summary>A mirror is a node like any other, whichever side it reads and whenever it acknowledges.</summary>
public abstract class MirrorContract(MirrorOptions options, bool withLog) : NodeContract
{
    private protected override async ValueTask<BlockNode> CreateAsync(long length)
    {
        BlockEnvironment environment = TestEnvironment.Inline();
        BlockNode overlay = new MemoryOverlayNode("overlay", length, 65536, environment);
        BlockNode file = await ScriptedNode.CreateAsync(environment, length, new BlockLimits { RequestAlignment = 512 });
        (BlockNode source, BlockNode destination) = options.Reads == MirrorReads.Source ? (overlay, file) : (file, overlay);
        var how = new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateNew };
        BlockNode? log = withLog ? new StorageNode(await environment.Files.OpenAsync("log", how, CancellationToken.None), environment) : null;
        return await MirrorNode.OpenAsync(source, destination, log, options with { RegionSize = 16384 });
    }
}

public class PlainMirrorContract() : MirrorContract(new MirrorOptions(), withLog: false);

public class LoggedMirrorContract() : MirrorContract(new MirrorOptions { Reads = MirrorReads.Compare }, withLog: true);

public class FollowingMirrorContract() : MirrorContract(new MirrorOptions { Reads = MirrorReads.Destination, Ack = MirrorAck.Source }, withLog: true);

public class UnrepairedMirrorContract() : MirrorContract(new MirrorOptions { Reads = MirrorReads.Destination, Sync = MirrorSync.Later }, withLog: true);
