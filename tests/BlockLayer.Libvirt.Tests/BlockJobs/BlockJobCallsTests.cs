using System.Reflection;
using Xunit;
using static BlockLayer.Libvirt.Tests.BlockJobs.BlockJobWorld;

namespace BlockLayer.Libvirt.Tests.BlockJobs;

/// <summary>The face that answers as C does: the same calls, 0 and 1 for what worked, -1 and a reason for what did not.</summary>
public class BlockJobCallsTests
{
    private const string ToCopy = "<disk type='file'><driver name='qemu' type='qcow2'/><source file='/vm/copy.img'/></disk>";

    [Fact]
    public void Each_function_of_libvirt_is_there_and_returns_a_number()
        => Assert.Equal(
            ["BlockCommit", "BlockCopy", "BlockJobAbort", "BlockJobSetSpeed", "BlockPull", "BlockRebase", "GetBlockJobInfo"],
            typeof(BlockJobCalls).GetMethods(BindingFlags.Public | BindingFlags.Instance | BindingFlags.DeclaredOnly)
                .Where(method => method.ReturnType == typeof(int) || method.ReturnType == typeof(ValueTask<int>))
                .Select(method => method.Name)
                .Order(StringComparer.Ordinal));

    [Fact]
    public void A_whole_copy_by_numbers() => Run(async world =>
    {
        BlockJobCalls calls = world.Calls;
        var parameters = new Dictionary<string, ulong> { ["bandwidth"] = 1, ["granularity"] = 65536 };
        Assert.Equal(0, calls.GetBlockJobInfo(world.Domain, "vda", out BlockJobInfo info, 0));
        Assert.Equal(default, info);
        Assert.Equal(0, await calls.BlockCopy(world.Domain, "/vm/top.img", ToCopy, parameters, BlockCopyFlags.Shallow));
        Assert.Equal(1, calls.GetBlockJobInfo(world.Domain, "vda", out info, BlockJobInfoFlags.BandwidthBytes));
        Assert.Equal((BlockJobType.Copy, 1UL), (info.Type, info.Bandwidth));
        Assert.Equal(0, await calls.BlockJobSetSpeed(world.Domain, "vda", 0, 0));
        await ((DiskJob)world.Disk.Job!).WaitForReadyAsync();
        Assert.Equal(1, calls.GetBlockJobInfo(world.Domain, "vda", out info, 0));
        Assert.Equal(info.End, info.Cur);
        Assert.Equal(0, await calls.BlockJobAbort(world.Domain, "vda", BlockJobAbortFlags.Pivot));
        Assert.Equal(0, calls.GetBlockJobInfo(world.Domain, "vda", out info, 0));
        Assert.Equal("copy.img mid.img base.img", world.Describe());
        Assert.Equal(LibvirtErrorCode.Ok, world.Connection.LastError.Code);
        Assert.Equal(["16 vda Copy Ready", "16 vda Copy Completed"], world.Heard.Where(told => told.StartsWith("16", StringComparison.Ordinal)));
    });

    [Fact]
    public void A_chain_is_taken_down_step_by_step() => Run(async world =>
    {
        async Task doneAsync()
        {
            if (world.Disk.Job is DiskJob job)
            {
                await world.EndAsync(job);
            }
        }

        Assert.Equal(0, await world.Calls.BlockCommit(world.Domain, "vda", "vda[2]", "vda[1]", 0, BlockCommitFlags.Delete | BlockCommitFlags.Relative));
        await doneAsync();
        Assert.Equal(("top.img base.img", "base.img", "base.img top.img"), (world.Describe(), world.Recorded(), world.Files()));
        Assert.Equal(0, await world.Calls.BlockRebase(world.Domain, "vda", "/vm/raw.img", 0, BlockRebaseFlags.Copy | BlockRebaseFlags.CopyRaw));
        await doneAsync();
        Assert.Equal(("raw.img", "raw"), (world.Describe(), world.Disk.Format));
        Assert.Equal(0, await world.Calls.BlockPull(world.Domain, "/vm/raw.img", 0, 0) + await world.Calls.BlockJobAbort(world.Domain, "vda", 0) + 2);
        await world.AssertContentAsync();
    });

    [Theory]
    [InlineData("vdb", LibvirtErrorCode.InvalidArg)]
    [InlineData(null, LibvirtErrorCode.InvalidArg)]
    [InlineData("sda", LibvirtErrorCode.ConfigUnsupported)]
    public void A_disk_that_is_none_is_refused_by_every_call(string? disk, LibvirtErrorCode code) => Run(async world =>
    {
        Domain domain = await world.Connection.CreateAsync(LibvirtWorld.DomainXml("drive", "<disk device='cdrom'><target dev='sda'/></disk>"));
        BlockJobCalls calls = world.Calls;
        int[] answers =
        [
            await calls.BlockPull(domain, disk, 0, 0), Code(), await calls.BlockRebase(domain, disk, null, 0, 0), Code(),
            await calls.BlockCopy(domain, disk, ToCopy, null, BlockCopyFlags.TransientJob), Code(), await calls.BlockCommit(domain, disk, null, null, 0, 0), Code(),
            await calls.BlockJobAbort(domain, disk, 0), Code(), await calls.BlockJobSetSpeed(domain, disk, 0, 0), Code(),
        ];
        Assert.Equal(Enumerable.Repeat(new[] { -1, (int)code }, 6).SelectMany(pair => pair), answers);
        Assert.False(world.Exists("/vm/copy.img"));

        int Code() => (int)world.Connection.LastError.Code;
    });

    [Theory]
    [InlineData((1UL << 52) + 1, true)]
    [InlineData((1UL << 32) + 1, false)]
    public void A_bandwidth_that_is_too_large_is_refused_by_every_call(ulong bandwidth, bool isBytes) => Run(async world =>
    {
        BlockJobCalls calls = world.Calls;
        await world.Api.CopyAsync(world.Domain, "vda", ToCopy);
        Func<ValueTask<int>>[] all =
        [
            () => calls.BlockPull(world.Domain, "vda", bandwidth, isBytes ? BlockPullFlags.BandwidthBytes : 0),
            () => calls.BlockRebase(world.Domain, "vda", null, bandwidth, isBytes ? BlockRebaseFlags.BandwidthBytes : 0),
            () => calls.BlockCommit(world.Domain, "vda", null, "vda[1]", bandwidth, isBytes ? BlockCommitFlags.BandwidthBytes : 0),
            () => calls.BlockJobSetSpeed(world.Domain, "vda", bandwidth, isBytes ? BlockJobSetSpeedFlags.BandwidthBytes : 0),
            () => calls.BlockCopy(world.Domain, "vda", ToCopy, new Dictionary<string, ulong> { ["bandwidth"] = (1UL << 52) + 1 }, 0),
        ];
        foreach (Func<ValueTask<int>> call in all)
        {
            Assert.Equal((-1, LibvirtErrorCode.Overflow), (await call(), world.Connection.LastError.Code));
        }
    });

    [Theory]
    [InlineData("<disk", "", LibvirtErrorCode.XmlDetail)]
    [InlineData("<disk type='file'/>", "", LibvirtErrorCode.XmlError)]
    [InlineData(ToCopy, "speed", LibvirtErrorCode.ArgumentUnsupported)]
    [InlineData("<disk type='file'><driver type='vpc'/><source file='/vm/copy.img'/></disk>", "", LibvirtErrorCode.ConfigUnsupported)]
    [InlineData("<disk type='file'><driver type='qcow2'/><source file='/vm/top.img'/></disk>", "", LibvirtErrorCode.ConfigUnsupported)]
    public void A_copy_that_cannot_be_is_refused_and_leaves_nothing(string xml, string parameter, LibvirtErrorCode code) => Run(async world =>
    {
        Dictionary<string, ulong>? parameters = parameter.Length == 0 ? null : new() { [parameter] = 1 };
        Assert.Equal((-1, code), (await world.Calls.BlockCopy(world.Domain, "vda", xml, parameters, 0), world.Connection.LastError.Code));
        Assert.Equal("base.img mid.img top.img", world.Files());
        Assert.Null(world.Disk.Job);
        await world.AssertContentAsync();
    });
}
