using System.Reflection;
using BlockLayer.Libvirt.Tests.Snapshots;
using Xunit;

namespace BlockLayer.Libvirt.Tests.Flags;

/// <summary>Each bit that a call does not define, asked of the call itself: it is refused, and nothing has begun.</summary>
public class UnknownFlagTests
{
    private const string Path = "/vm/a.qcow2";
    private const string ToCopy = "<disk type='file'><driver name='qemu' type='qcow2'/><source file='/vm/copy.img'/></disk>";

    private delegate ValueTask<long> Call(SnapshotWorld world, int flags);

    // Which bits each call knows.
    private static readonly Dictionary<string, (int Known, Call Ask)> s_calls = new()
    {
        ["StreamDisk"] = (7, (world, flags) => new StreamDiskCalls(world.Connection).StreamDisk(world.Domain, "vda", 0, (StreamDiskFlags)flags)),
        ["StreamDiskInfo"] = (0, (world, flags) => new(new StreamDiskCalls(world.Connection).StreamDiskInfo(world.Domain, new StreamDiskState[1], 1, flags))),
        ["BlockStream"] = (1, (world, flags) => Long(new BlockStreamCalls(world.Connection).BlockStream(world.Domain, Path, new BlockStreamCursor(), (BlockStreamFlags)flags))),
        ["BlockStreamAbort"] = (0, (world, flags) => Long(new BlockStreamCalls(world.Connection).BlockStreamAbort(world.Domain, Path, flags))),
        ["GetBlockStreamInfo"] = (0, (world, flags) => new(new BlockStreamCalls(world.Connection).GetBlockStreamInfo(world.Domain, new BlockStreamInfo[1], 1, flags))),
        ["BlockPullCalls.BlockPull"] = (0, (world, flags) => Long(new BlockPullCalls(world.Connection).BlockPull(world.Domain, Path, flags))),
        ["BlockPullAbove"] = (0, (world, flags) => Long(new BlockPullCalls(world.Connection).BlockPullAbove(world.Domain, Path, Path, flags))),
        ["BlockPullBelow"] = (0, (world, flags) => Long(new BlockPullCalls(world.Connection).BlockPullBelow(world.Domain, Path, Path, flags))),
        ["BlockPullAbort"] = (0, (world, flags) => Long(new BlockPullCalls(world.Connection).BlockPullAbort(world.Domain, Path, flags))),
        ["GetBlockPullInfo"] = (0, (world, flags) => new(new BlockPullCalls(world.Connection).GetBlockPullInfo(world.Domain, Path, out _, flags))),
        ["BlockJobCalls.BlockPull"] = (64, (world, flags) => Long(new BlockJobCalls(world.Connection).BlockPull(world.Domain, "vda", 0, (BlockPullFlags)flags))),
        ["BlockRebase"] = (127, (world, flags) => Long(new BlockJobCalls(world.Connection).BlockRebase(world.Domain, "vda", null, 0, (BlockRebaseFlags)flags))),
        ["BlockCopy"] = (15, (world, flags) => Long(new BlockJobCalls(world.Connection).BlockCopy(world.Domain, "vda", ToCopy, null, (BlockCopyFlags)flags))),
        ["BlockCommit"] = (31, (world, flags) => Long(new BlockJobCalls(world.Connection).BlockCommit(world.Domain, "vda", null, null, 0, (BlockCommitFlags)flags))),
        ["BlockJobAbort"] = (3, (world, flags) => Long(new BlockJobCalls(world.Connection).BlockJobAbort(world.Domain, "vda", (BlockJobAbortFlags)flags))),
        ["BlockJobSetSpeed"] = (1, (world, flags) => Long(new BlockJobCalls(world.Connection).BlockJobSetSpeed(world.Domain, "vda", 0, (BlockJobSetSpeedFlags)flags))),
        ["GetBlockJobInfo"] = (1, (world, flags) => new(new BlockJobCalls(world.Connection).GetBlockJobInfo(world.Domain, "vda", out _, (BlockJobInfoFlags)flags))),
        ["SnapshotCreateXml"] = (511, async (world, flags) => await new SnapshotCalls(world.Connection).SnapshotCreateXml(
            world.Domain, SnapshotWorld.SnapshotXml("s9", MergeDirection.Forward, MergeDirection.Forward), (SnapshotCreateFlags)flags) is null ? -1 : 0),
        ["SnapshotDelete"] = (7, (world, flags) => Long(new SnapshotCalls(world.Connection).SnapshotDelete(world.Domain, "s1", (SnapshotDeleteFlags)flags))),
    };

    public static TheoryData<string> Calls => [.. s_calls.Keys];

    [Theory]
    [MemberData(nameof(Calls))]
    public async Task A_flag_that_a_call_does_not_have_is_refused_by_the_call(string name)
    {
        (int known, Call ask) = s_calls[name];
        await using SnapshotWorld world = await SnapshotWorld.StartAsync();
        await world.SnapshotAsync("s1", MergeDirection.Forward, MergeDirection.Forward);
        string[] before = [.. world.Environment.Files.ListFiles("/vm")];
        for (int bit = 0; bit < 32; bit++)
        {
            int flags = 1 << bit;
            if ((flags & known) == 0)
            {
                Assert.Equal((bit, -1L, LibvirtErrorCode.InvalidArg), (bit, await ask(world, flags), world.Connection.LastError.Code));
            }
        }

        Assert.All(world.Domain.Disks, static disk => Assert.Null(disk.Job));
        Assert.Equal(before, world.Environment.Files.ListFiles("/vm"));
        Assert.Equal(["s1"], (await world.TreeAsync()).All.Select(static record => record.Name));
    }

    [Fact]
    public void Every_call_that_takes_flags_is_asked()
    {
        IEnumerable<string> calls = typeof(BlockJobCalls).Assembly.GetExportedTypes()
            .Where(static type => type.Name.EndsWith("Calls", StringComparison.Ordinal))
            .SelectMany(static type => type.GetMethods(BindingFlags.Public | BindingFlags.Instance | BindingFlags.DeclaredOnly))
            .Where(static method => method.GetParameters().Any(static parameter => parameter.Name == "flags"))
            .Select(static method => method.Name == "BlockPull" ? $"{method.DeclaringType!.Name}.BlockPull" : method.Name);
        Assert.Equal(calls.Order(StringComparer.Ordinal), s_calls.Keys.Order(StringComparer.Ordinal));
    }

    private static async ValueTask<long> Long(ValueTask<int> answer) => await answer;
}
