using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.TestKit;
using Xunit;
using static BlockLayer.Libvirt.Tests.BlockJobs.BlockJobWorld;

namespace BlockLayer.Libvirt.Tests.BlockJobs;

/// <summary>What BlockCopy does: each combination of its flags, on a transient and a persistent domain, to both ends.</summary>
public class BlockCopyTests
{
    // XML has no way to write them. libvirt leaves them out of what it writes, and nothing of what it does.
    [Fact]
    public void A_file_name_with_characters_that_XML_does_not_have_is_described_without_them() => Run(async world =>
    {
        const string path = "/vm/a\u0001copy\uFFFF.img";
        DiskJob job = await world.Api.RebaseAsync(world.Domain, "vda", path, 0, BlockRebaseFlags.Copy);
        Assert.Equal(BlockJobStatus.Completed, await world.EndAsync(job));
        Assert.Equal("acopy.img", world.Describe());
        Assert.Equal(path, world.Disk.Source!.Path);
        await world.AssertContentAsync();
    });

    private const string ToCopy = "<disk type='file'><driver name='qemu' type='qcow2'/><source file='/vm/copy.img'/></disk>";

    [Fact]
    public void Every_combination_does_what_its_flags_say()
    {
        for (int flags = 0; flags < 16; flags++)
        {
            foreach (DomainLifetime lifetime in new[] { DomainLifetime.Transient, DomainLifetime.Persistent })
            {
                foreach (BlockJobAbortFlags end in new[] { BlockJobAbortFlags.None, BlockJobAbortFlags.Pivot })
                {
                    var given = (BlockCopyFlags)flags;
                    Run(world => CopyAsync(world, given, end), lifetime);
                }
            }
        }
    }

    [Fact]
    public void A_copy_that_is_let_go_when_it_is_ready_holds_what_the_disk_held_then() => Run(async world =>
    {
        DiskJob job = await world.Api.CopyAsync(world.Domain, "vda", ToCopy);
        Assert.True(await job.WaitForReadyAsync());
        await world.WriteAsync(3, 8);
        await world.Api.AbortAsync(world.Domain, "vda");
        await world.AssertHoldsAsync("/vm/copy.img", "qcow2");
        await world.WriteAsync(4, 8);
        await Assert.ThrowsAnyAsync<Exception>(() => world.AssertHoldsAsync("/vm/copy.img", "qcow2"));
        await world.AssertContentAsync();
    });

    [Fact]
    public void The_parameters_reach_the_job() => Run(async world =>
    {
        var parameters = new CopyParameters { Bandwidth = (1 << 20) + 1, Granularity = 512, BufferSize = 1 << 20 };
        DiskJob job = await world.Api.CopyAsync(world.Domain, "vda", ToCopy, parameters);
        Assert.Equal((1UL << 20) + 1, world.Api.GetInfo(world.Domain, "vda", BlockJobInfoFlags.BandwidthBytes)!.Value.Bandwidth);
        Assert.Equal(2UL, world.Api.GetInfo(world.Domain, "vda")!.Value.Bandwidth);
        Assert.True(await job.WaitForReadyAsync());
        long before = ((MirrorJob)job.Job!).CopiedBytes;
        byte[] sector = new byte[512];
        await world.Disk.Open!.ReadAsync(0, sector);
        await world.Disk.Open!.WriteAsync(0, sector);
        await world.Machine.PassAsync(TimeSpan.FromSeconds(1));
        Assert.Equal(4096, ((MirrorJob)job.Job!).CopiedBytes - before); // the finest there is
        Assert.Equal(BlockJobStatus.Completed, await world.EndAsync(job));
        await world.AssertContentAsync();
    });

    [Theory]
    [InlineData(BlockCopyFlags.ReuseExternal, "")]
    [InlineData(BlockCopyFlags.ReuseExternal | BlockCopyFlags.Shallow, "mid.img")]
    public void A_file_that_is_reused_shows_nothing_of_what_it_held(BlockCopyFlags flags, string backing) => Run(async world =>
    {
        await world.CreateAsync("/vm/copy.img", backing.Length == 0 ? null : backing);
        int[] held = backing.Length == 0 ? [0, 20, 30] : [20]; // a shallow copy's has to show what the backing file does where the disk's newest image holds nothing
        await using (Disk before = await Disk.OpenAsync("/vm/copy.img", world.Machine.As("qcow2")))
        {
            foreach (int unit in held)
            {
                await before.WriteAsync(unit * (long)Unit, SectorStamp.Of(unit * (long)Unit, Unit, writer: 9));
            }
        }

        Assert.Equal(BlockJobStatus.Completed, await world.EndAsync(await world.Api.CopyAsync(world.Domain, "vda", ToCopy, flags: flags)));
        Assert.StartsWith("copy.img", world.Describe(), StringComparison.Ordinal);
        await world.AssertContentAsync();
    });

    [Fact]
    public void A_guest_that_writes_all_the_time_is_kept_up_with_by_SYNCHRONOUS_WRITES() => Run(async world =>
    {
        DiskJob job = await world.Api.CopyAsync(world.Domain, "vda", ToCopy, flags: BlockCopyFlags.SynchronousWrites);
        Assert.True(await job.WaitForReadyAsync());
        for (int unit = 0; unit < Units; unit++)
        {
            await world.WriteAsync(unit, 8);
            BlockJobInfo info = world.Api.GetInfo(world.Domain, "vda")!.Value;
            Assert.Equal(info.End, info.Cur);
        }

        await world.Api.AbortAsync(world.Domain, "vda", BlockJobAbortFlags.Pivot);
        Assert.Equal("copy.img", world.Describe());
        await world.AssertContentAsync();
    });

    [Fact]
    public void A_destination_that_holds_something_is_left_as_it_is() => Run(async world =>
    {
        await world.CreateAsync("/vm/copy.img");
        long length = world.Machine.Storage.GetInfo("/vm/copy.img")!.Length;
        Assert.Equal(LibvirtErrorCode.ConfigUnsupported, await CodeOfAsync(() => world.Api.CopyAsync(world.Domain, "vda", ToCopy)));
        Assert.Equal(length, world.Machine.Storage.GetInfo("/vm/copy.img")!.Length);
        Assert.Equal(LibvirtErrorCode.ResourceBusy, await CodeOfAsync(() => world.Api.RebaseAsync(world.Domain, "vda", "/vm/base.img", 0, BlockRebaseFlags.Copy | BlockRebaseFlags.ReuseExternal)));
        await world.AssertContentAsync();
    });

    [Fact]
    public void A_persistent_domain_starts_on_the_copy_next_time() => Run(
        async world =>
        {
            await world.EndAsync(await world.Api.CopyAsync(world.Domain, "vda", ToCopy, flags: BlockCopyFlags.TransientJob));
            await world.WriteAsync(1, 5);
            await world.Connection.ShutOffAsync(world.Domain);
            await world.Connection.StartAsync(world.Domain);
            Assert.Equal("copy.img", world.Describe());
            await world.AssertContentAsync();
        },
        DomainLifetime.Persistent);

    private static async Task CopyAsync(BlockJobWorld world, BlockCopyFlags flags, BlockJobAbortFlags end)
    {
        bool has(BlockCopyFlags flag) => (flags & flag) != 0;
        if (has(BlockCopyFlags.ReuseExternal))
        {
            await world.CreateAsync("/vm/copy.img", has(BlockCopyFlags.Shallow) ? "mid.img" : null);
        }

        bool isRefused = world.Domain.IsPersistent && !has(BlockCopyFlags.TransientJob);
        DiskJob? job = null;
        LibvirtErrorCode code = await CodeOfAsync(async () => job = await world.Api.CopyAsync(world.Domain, "vda", ToCopy, flags: flags));
        Assert.Equal((flags, isRefused ? LibvirtErrorCode.OperationInvalid : LibvirtErrorCode.Ok), (flags, code));
        if (job is null)
        {
            Assert.Equal(has(BlockCopyFlags.ReuseExternal), world.Exists("/vm/copy.img"));
            return;
        }

        await world.WriteAsync(29, 9);
        Assert.True(await job.WaitForReadyAsync());
        await world.WriteAsync(30, 9);
        Assert.Equal("top.img mid.img base.img | copy copy.img qcow2 ready=yes", world.Describe());
        await world.Api.AbortAsync(world.Domain, "vda", end);
        bool pivots = end == BlockJobAbortFlags.Pivot;
        Assert.Equal(pivots ? BlockJobStatus.Completed : BlockJobStatus.Canceled, (await job.Completion).Status);
        string chain = !pivots ? "top.img mid.img base.img" : has(BlockCopyFlags.Shallow) ? "copy.img mid.img base.img" : "copy.img";
        Assert.Equal(chain, world.Describe());
        Assert.Equal(["Ready: top.img mid.img base.img | copy copy.img qcow2 ready=yes", $"{(pivots ? "Completed" : "Canceled")}: {chain}"], world.Seen);
        await world.AssertContentAsync();
        if (!pivots)
        {
            await world.AssertHoldsAsync("/vm/copy.img", "qcow2");
        }
    }
}
