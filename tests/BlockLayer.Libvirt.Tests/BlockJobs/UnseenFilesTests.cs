using BlockLayer.Libvirt.Tests.Disks;
using Xunit;
using static BlockLayer.Libvirt.Tests.BlockJobs.BlockJobWorld;

namespace BlockLayer.Libvirt.Tests.BlockJobs;

/// <summary>Domains whose files cannot be looked at by their paths any more: what runs goes on and ends well, and calls that need a path say why not.</summary>
public class UnseenFilesTests
{
    [Theory]
    [InlineData("complete")]
    [InlineData("abort")]
    [InlineData("stop")]
    public void A_job_ends_and_tells_it(string how) => RunUnseen(async (world, files) =>
    {
        DiskJob pull = await world.Api.PullAsync(world.Domain, "vda", how == "complete" ? 0 : 1UL, BlockPullFlags.BandwidthBytes);
        files.IsUnseen = static _ => true;
        switch (how)
        {
            case "abort":
                await world.Api.AbortAsync(world.Domain, "/vm/top.img");
                break;
            case "stop":
                await world.Connection.ShutOffAsync(world.Domain);
                break;
        }

        string status = how == "complete" ? "Completed" : "Canceled";
        Assert.Equal(status, (await pull.Completion).Status.ToString());
        Assert.Equal([$"8 /vm/top.img Pull {status}", $"16 vda Pull {status}"], world.Heard);
        Assert.Equal(how == "stop" ? DomainState.ShutOff : DomainState.Running, world.Domain.State);
    });

    [Fact]
    public void Calls_that_need_a_path_are_refused_in_libvirts_words() => RunUnseen(async (world, files) =>
    {
        files.IsUnseen = static path => path is "/vm/unseen" or "/vm/base.img";
        Func<ValueTask<DiskJob>>[] calls =
        [
            () => world.Api.RebaseAsync(world.Domain, "vda", "/vm/unseen"),                             // as an image of the chain
            () => world.Api.RebaseAsync(world.Domain, "vda", "vda[2]"),                                 // as the name to be recorded
            () => world.Api.RebaseAsync(world.Domain, "vda", "/vm/unseen", 0, BlockRebaseFlags.Copy),   // as where a copy goes
            () => world.Api.CommitAsync(world.Domain, "vda", top: "/vm/unseen"),
        ];
        foreach (Func<ValueTask<DiskJob>> call in calls)
        {
            Assert.Equal(LibvirtErrorCode.AccessDenied, await CodeOfAsync(call));
            Assert.Null(world.Disk.Job);
        }

        Assert.Equal(LibvirtErrorCode.AccessDenied, await CodeOfAsync(async () =>
        {
            await new BlockSwitchApi(world.Connection).CreateCopyAsync(world.Domain, "vda", "/vm/unseen");
            return true;
        }));
        string optional = "<disk><source file='/vm/unseen' startupPolicy='optional'/><target dev='vda'/></disk>";
        Assert.Equal(LibvirtErrorCode.AccessDenied, await CodeOfAsync(() => world.Connection.CreateAsync(LibvirtWorld.DomainXml("other", optional))));
    });

    [Fact]
    public void A_start_that_fails_over_what_it_declares_leaves_no_disk_open() => RunUnseen(async (world, files) =>
    {
        await world.Connection.ShutOffAsync(world.Domain);
        files.IsUnseen = static path => path == "/vm/declared.img";
        const string Declared = "<backingStore type='file'><source file='/vm/declared.img'/></backingStore>";
        string xml = LibvirtWorld.DomainXml("vm", LibvirtWorld.DiskXml("vda", "/vm/top.img", more: Declared));
        Assert.Equal(LibvirtErrorCode.AccessDenied, await CodeOfAsync(() => world.Connection.CreateAsync(xml)));
        await world.RestartAsync(LibvirtWorld.DomainXml("vm", LibvirtWorld.DiskXml("vda", "/vm/top.img"))); // its lock is free
    });

    private static void RunUnseen(Func<BlockJobWorld, UnseenFiles, Task> test)
    {
        UnseenFiles? files = null;
        Run(world => test(world, files!), files: machine => files = new UnseenFiles(machine.Storage));
    }
}
