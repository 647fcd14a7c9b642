using BlockLayer.Images;
using BlockLayer.Libvirt.Tests.BlockJobs;
using BlockLayer.Simulation;
using Xunit;
using static BlockLayer.Libvirt.Tests.BlockJobs.BlockJobWorld;

namespace BlockLayer.Libvirt.Tests.Domains;

/// <summary>Starts and stops of a domain that meet each other: whatever runs, the host knows of, and nothing that is gone comes back.</summary>
public class DomainRaceTests
{
    private static readonly string s_xml = LibvirtWorld.DomainXml("other", LibvirtWorld.DiskXml("vda", "/vm/other.img"));

    [Fact]
    public void A_domain_that_is_undefined_while_it_starts_is_known_until_it_stops() => RunWithOther(async (world, opening) =>
    {
        Domain domain = world.Connection.Define(s_xml);
        Task start = world.Connection.StartAsync(domain).AsTask();
        await opening.ReachedAsync();
        world.Connection.Undefine(domain);
        opening.Continue();
        await start;
        Assert.Contains(domain, world.Connection.Domains);
        await world.Connection.ShutOffAsync(domain);
        Assert.DoesNotContain(domain, world.Connection.Domains);
    });

    [Fact]
    public void A_stop_that_gives_up_waiting_for_a_start_does_not_make_the_host_forget_the_domain() => RunWithOther(async (world, opening) =>
    {
        Task<Domain> start = world.Connection.CreateAsync(s_xml).AsTask();
        await opening.ReachedAsync();
        using var stop = new CancellationTokenSource();
        Task stopping = world.Connection.ShutOffAsync(world.Connection.FindDomain("other"), stop.Token).AsTask();
        stop.Cancel();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => stopping);
        opening.Continue();
        Assert.Contains(await start, world.Connection.Domains);
    });

    [Fact]
    public void A_domain_that_is_gone_is_not_started() => Run(async world =>
    {
        await world.Connection.ShutOffAsync(world.Domain);
        var error = await Assert.ThrowsAsync<LibvirtException>(async () => await world.Connection.StartAsync(world.Domain));
        Assert.Equal((LibvirtErrorCode.NoDomain, "The domain 'vm' is gone; define or create it anew."), (error.Code, error.Message));
        await using Disk free = await Disk.OpenAsync("/vm/top.img", world.Machine.As("qcow2"));
    });

    [Fact]
    public void A_host_that_is_disposed_stops_a_domain_that_is_being_started_and_starts_none() => RunWithOther(async (world, opening) =>
    {
        Domain late = world.Connection.Define(LibvirtWorld.DomainXml("late"));
        Task<Domain> start = world.Connection.CreateAsync(s_xml).AsTask();
        await opening.ReachedAsync();
        Task dispose = world.Host.DisposeAsync().AsTask();
        Assert.Equal(LibvirtErrorCode.InvalidConnection, (await Assert.ThrowsAsync<LibvirtException>(async () => await world.Connection.StartAsync(late))).Code);
        opening.Continue();
        Domain domain = await start;
        await dispose;
        Assert.Equal(DomainState.ShutOff, domain.State);
        Assert.Throws<ObjectDisposedException>(() => world.Host.Connect());
        await using Disk free = await Disk.OpenAsync("/vm/other.img", world.Machine.As("qcow2"));
    });

    [Fact]
    public void A_host_that_is_disposed_while_a_domain_stops_has_nothing_to_complain_about() => Run(async world =>
    {
        await world.WriteAsync(3, 9); // so that the close has something to write back
        StorageBreakpoint closing = world.Machine.Storage.Faults.Break(new FaultRule { Operations = StorageOperations.AnyChange, Path = "/vm/top.img" });
        Task stop = world.Connection.ShutOffAsync(world.Domain).AsTask();
        await closing.ReachedAsync();
        Task dispose = world.Host.DisposeAsync().AsTask();
        closing.Continue();
        await stop;
        await dispose;
    });

    private static void RunWithOther(Func<BlockJobWorld, StorageBreakpoint, Task> test) => Run(async world =>
    {
        await world.CreateAsync("/vm/other.img");
        await test(world, world.Machine.Storage.Faults.Break(new FaultRule { Operations = StorageOperations.Read, Path = "/vm/other.img" }));
    });
}
