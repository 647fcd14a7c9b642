using BlockLayer.Libvirt.Tests.BlockJobs;
using BlockLayer.Simulation;
using Xunit;
using static BlockLayer.Libvirt.Tests.BlockJobs.BlockJobWorld;

namespace BlockLayer.Libvirt.Tests.Streaming;

/// <summary>block_switch that meets the stop of the domain, or a job: each waits for the other, and what was answered is true.</summary>
public class BlockSwitchRaceTests
{
    [Fact]
    public void A_domain_that_stops_waits_for_the_switch_and_starts_with_the_copy() => RunSwitching(async (world, api, opening) =>
    {
        Task change = api.SwitchAsync(world.Domain, "vda", "/vm/copy.img").AsTask();
        await opening.ReachedAsync();
        Task stop = world.Connection.ShutOffAsync(world.Domain).AsTask();
        await world.Machine.PassAsync(TimeSpan.FromSeconds(1));
        Assert.False(stop.IsCompleted, "the disk was closed under the switch");
        opening.Continue();
        await change;
        await stop;
        await world.Connection.StartAsync(world.Domain);
        Assert.Equal("copy.img top.img mid.img base.img", world.Describe());
        await world.AssertContentAsync();
    });

    [Fact]
    public void A_pull_that_is_started_while_the_disk_switches_pulls_into_the_copy() => RunSwitching(async (world, api, opening) =>
    {
        Task change = api.SwitchAsync(world.Domain, "vda", "/vm/copy.img").AsTask();
        await opening.ReachedAsync();
        Task<DiskJob> pull = world.Api.PullAsync(world.Domain, "vda").AsTask();
        opening.Continue();
        await change;
        Assert.Equal(BlockJobStatus.Completed, await world.EndAsync(await pull));
        Assert.Equal("copy.img", world.Describe());
        await world.AssertContentAsync();
    });

    [Fact]
    public void A_disk_with_a_job_is_not_switched() => RunSwitching(async (world, api, opening) =>
    {
        await world.Api.PullAsync(world.Domain, "vda", 1, BlockPullFlags.BandwidthBytes);
        var error = await Assert.ThrowsAsync<LibvirtException>(async () => await api.SwitchAsync(world.Domain, "vda", "/vm/copy.img"));
        Assert.Equal(LibvirtErrorCode.OperationUnsupported, error.Code);
    });

    private static void RunSwitching(Func<BlockJobWorld, BlockSwitchApi, StorageBreakpoint, Task> test) => Run(
        async world =>
        {
            var api = new BlockSwitchApi(world.Connection);
            await api.CreateCopyAsync(world.Domain, "vda", "/vm/copy.img");
            await test(world, api, world.Machine.Storage.Faults.Break(new FaultRule { Operations = StorageOperations.Read, Path = "/vm/copy.img" }));
        },
        DomainLifetime.Persistent);
}
