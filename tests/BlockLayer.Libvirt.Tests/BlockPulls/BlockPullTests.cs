using BlockLayer.Errors;
using BlockLayer.Jobs;
using BlockLayer.Libvirt.Tests.BlockJobs;
using BlockLayer.Simulation;
using Xunit;
using static BlockLayer.Libvirt.Tests.BlockJobs.BlockJobWorld;

namespace BlockLayer.Libvirt.Tests.BlockPulls;

/// <summary>The calls of 2011: pulls, their two readings of a base, what they tell and what they do not.</summary>
public class BlockPullTests
{
    private const string Top = "/vm/top.img";

    [Fact]
    public void A_pull_completes_and_tells_so_once() => Run(async world =>
    {
        List<string> heard = Listen(world);
        var calls = new BlockPullCalls(world.Connection);
        Assert.Equal(0, await calls.BlockPull(world.Domain, Top, flags: 0));
        Assert.Equal(0, calls.GetBlockPullInfo(world.Domain, Top, out BlockPullInfo info, flags: 0));
        Assert.True(info.Cur < info.End, info.ToString());
        await ((DiskJob)world.Disk.Job!).Completion;
        Assert.Equal(["/vm/top.img Completed"], heard);
        Assert.Equal("top.img", world.Describe());
        Assert.Equal((-1, LibvirtErrorCode.OperationInvalid), (calls.GetBlockPullInfo(world.Domain, Top, out info, flags: 0), world.Connection.LastError.Code));
        Assert.Equal(default, info);
        await world.AssertContentAsync();
    });

    [Fact]
    public void An_aborted_pull_tells_nothing_in_this_generation_and_goes_on_when_it_is_started_again() => Run(async world =>
    {
        List<string> heard = Listen(world);
        var calls = new BlockPullCalls(world.Connection);
        DiskJob job = await new BlockPullApi(world.Connection).PullAsync(world.Domain, Top);
        JobBreakpoint middle = JobBreakpoint.After(job.Job!, 4 * Unit);
        await middle.ReachedAsync();
        Assert.Equal(0, calls.GetBlockPullInfo(world.Domain, Top, out BlockPullInfo info, flags: 0));
        Assert.Equal(new BlockPullInfo(4 * Unit, Units * Unit), info);
        ValueTask<int> abort = calls.BlockPullAbort(world.Domain, Top, flags: 0);
        middle.Continue();
        Assert.Equal(0, await abort);
        Assert.Empty(heard);
        Assert.Equal("16 vda Pull Canceled", world.Heard[^1]); // the word that came later
        DiskJob again = await new BlockPullApi(world.Connection).PullAsync(world.Domain, Top);
        await again.Completion;
        Assert.Equal(12 * Unit, ((StreamJob)job.Job!).CopiedBytes + ((StreamJob)again.Job!).CopiedBytes);
        Assert.Equal(["/vm/top.img Completed"], heard);
    });

    [Fact]
    public void A_pull_that_fails_tells_so_and_can_be_started_again() => Run(async world =>
    {
        List<string> heard = Listen(world);
        StorageBreakpoint read = world.Machine.Storage.Faults.Break(new FaultRule { Operations = StorageOperations.Read, Path = "/vm/base.img" });
        DiskJob job = await new BlockPullApi(world.Connection).PullAsync(world.Domain, Top);
        await read.ReachedAsync();
        read.Fail(BlockErrorKind.Io);
        await job.Completion;
        Assert.Equal(["/vm/top.img Failed"], heard);
        await (await new BlockPullApi(world.Connection).PullAsync(world.Domain, Top)).Completion;
        Assert.Equal(["/vm/top.img Failed", "/vm/top.img Completed"], heard);
        await world.AssertContentAsync();
    });

    [Theory]
    [InlineData("/vm/mid.img", "top.img mid.img base.img", "top.img mid.img")]
    [InlineData("vda[2]", "top.img base.img", "top.img mid.img base.img")]
    public void A_base_is_kept_with_all_below_it_or_orphaned(string image, string above, string below)
    {
        Run(async world =>
        {
            List<string> heard = Listen(world);
            Assert.Equal(0, await new BlockPullCalls(world.Connection).BlockPullAbove(world.Domain, Top, image, flags: 0));
            await ((DiskJob)world.Disk.Job!).Completion;
            Assert.Equal((above, "/vm/top.img Completed"), (world.Describe(), Assert.Single(heard)));
            await world.AssertContentAsync();
        });
        Run(async world =>
        {
            List<string> heard = Listen(world);
            long length = world.Machine.Storage.GetInfo(Top)!.Length;
            Assert.Equal(0, await new BlockPullCalls(world.Connection).BlockPullBelow(world.Domain, Top, image, flags: 0));
            await world.WriteAsync(20, 3);
            await ((DiskJob)world.Disk.Job!).Completion;
            Assert.Equal((below, "/vm/top.img Completed"), (world.Describe(), Assert.Single(heard)));
            Assert.Equal(length, world.Machine.Storage.GetInfo(Top)!.Length);
            Assert.All(world.Disk.Chain.Skip(1), element => Assert.True(element.Node.IsReadOnly));
            await world.AssertContentAsync();
            await world.Machine.Storage.DeleteAsync("/vm/base.img", default); // not needed
        });
    }

    [Theory]
    [InlineData(null, "backing_path is missing: it names the image that the chain is to end with.")]
    [InlineData("", "'' is not in the chain of 'vda': /vm/base.img <- /vm/mid.img <- /vm/top.img.")]
    public void To_orphan_an_image_takes_its_name(string? image, string message) => Run(async world =>
    {
        Assert.Equal(-1, await new BlockPullCalls(world.Connection).BlockPullBelow(world.Domain, Top, image, flags: 0));
        Assert.Equal((LibvirtErrorCode.InvalidArg, message), (world.Connection.LastError.Code, world.Connection.LastError.Message));
        Assert.Null(world.Disk.Job);
    });

    [Theory]
    [InlineData("vda", 0, "BlockPull takes the path of the disk's active image; found is 'vda'.")]
    [InlineData(Top, 1, "BlockPull has no flag 0x1.")]
    [InlineData(null, 0, "disk is missing: name it by its source path or its target.")]
    [InlineData("/vm/mid.img", 0, "The domain 'vm' has no disk '/vm/mid.img'; it has vda.")]
    public void Names_and_flags_that_this_generation_does_not_have_are_refused(string? path, int flags, string message) => Run(async world =>
    {
        var calls = new BlockPullCalls(world.Connection);
        Assert.Equal(-1, await calls.BlockPull(world.Domain, path, flags));
        Assert.Equal((LibvirtErrorCode.InvalidArg, message), (world.Connection.LastError.Code, world.Connection.LastError.Message));
        Assert.Equal(-1, await calls.BlockPullAbort(world.Domain, path, flags));
        Assert.Equal(LibvirtErrorCode.InvalidArg, world.Connection.LastError.Code);
        Assert.Equal(-1, calls.GetBlockPullInfo(world.Domain, path, out _, flags));
        Assert.Equal(LibvirtErrorCode.InvalidArg, world.Connection.LastError.Code);
    });

    [Fact]
    public void Only_a_pull_is_aborted_and_described() => Run(async world =>
    {
        List<string> heard = Listen(world);
        var calls = new BlockPullCalls(world.Connection);
        Assert.Equal((-1, LibvirtErrorCode.OperationInvalid), (await calls.BlockPullAbort(world.Domain, Top, flags: 0), world.Connection.LastError.Code));
        DiskJob job = await world.Api.CommitAsync(world.Domain, "vda", top: "vda[1]", bandwidth: 1, flags: BlockCommitFlags.BandwidthBytes);
        Assert.Equal((-1, "No pull runs on the disk 'vda'."), (await calls.BlockPullAbort(world.Domain, Top, flags: 0), world.Connection.LastError.Message));
        Assert.Equal(-1, calls.GetBlockPullInfo(world.Domain, Top, out _, flags: 0));
        Assert.Equal((-1, LibvirtErrorCode.OperationUnsupported), (await calls.BlockPull(world.Domain, Top, flags: 0), world.Connection.LastError.Code));
        await world.Api.SetSpeedAsync(world.Domain, "vda", 0);
        Assert.Equal(BlockJobStatus.Completed, await world.EndAsync(job));
        Assert.Empty(heard);
    });

    [Fact]
    public void A_read_only_connection_may_only_look() => Run(async world =>
    {
        using LibvirtConnection reader = world.Host.Connect(ConnectionAccess.ReadOnly);
        var calls = new BlockPullCalls(reader);
        Assert.Equal((-1, LibvirtErrorCode.OperationDenied), (await calls.BlockPull(world.Domain, Top, flags: 0), reader.LastError.Code));
        Assert.Equal((-1, LibvirtErrorCode.OperationDenied), (await calls.BlockPullBelow(world.Domain, Top, "vda[1]", flags: 0), reader.LastError.Code));
        Assert.Equal((-1, LibvirtErrorCode.OperationDenied), (await calls.BlockPullAbort(world.Domain, Top, flags: 0), reader.LastError.Code));
        await world.Api.PullAsync(world.Domain, "vda", 1, BlockPullFlags.BandwidthBytes);
        Assert.Equal(0, calls.GetBlockPullInfo(world.Domain, Top, out _, flags: 0));
    });

    private static List<string> Listen(BlockJobWorld world)
    {
        var heard = new List<string>();
        new BlockPullApi(world.Connection).RegisterPullEvent(world.Domain, (connection, domain, path, status) =>
        {
            Assert.Same(world.Connection, connection);
            Assert.Same(world.Domain, domain);
            heard.Add($"{path} {status}");
        });
        return heard;
    }
}
