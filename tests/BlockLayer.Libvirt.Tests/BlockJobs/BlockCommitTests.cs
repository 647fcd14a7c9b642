using BlockLayer.Graph;
using BlockLayer.Images;
using Xunit;
using static BlockLayer.Libvirt.Tests.BlockJobs.BlockJobWorld;

namespace BlockLayer.Libvirt.Tests.BlockJobs;

/// <summary>What BlockCommit does: each combination of its flags, with each top and base.</summary>
public class BlockCommitTests
{
    private const BlockCommitFlags Shallow = BlockCommitFlags.Shallow, Delete = BlockCommitFlags.Delete, Active = BlockCommitFlags.Active;
    private const BlockCommitFlags Relative = BlockCommitFlags.Relative, Bytes = BlockCommitFlags.BandwidthBytes;

    [Theory]
    [InlineData(null, null)]
    [InlineData(null, "vda[1]")]
    [InlineData("/vm/top.img", "/vm/base.img")]
    [InlineData("vda", "/vm/mid.img")]
    [InlineData("vda[1]", null)]
    [InlineData("/vm/mid.img", "vda[2]")]
    public void Every_combination_does_what_its_flags_say(string? top, string? @base)
    {
        for (int flags = 0; flags < 32; flags++)
        {
            var given = (BlockCommitFlags)flags;
            Run(world => CommitAsync(world, top, @base, given));
        }
    }

    [Theory]
    [InlineData(Active | Delete)]
    [InlineData(Active)]
    public void An_active_commit_that_is_let_go_keeps_the_active_image_and_deletes_nothing(BlockCommitFlags flags) => Run(async world =>
    {
        DiskJob job = await world.Api.CommitAsync(world.Domain, "vda", flags: flags);
        Assert.Equal(BlockJobStatus.Canceled, await world.EndAsync(job, BlockJobAbortFlags.None));
        Assert.Equal("top.img mid.img base.img", world.Describe());
        Assert.Equal("base.img mid.img top.img", world.Files());
        Assert.Equal(["8 /vm/top.img ActiveCommit Ready", "16 vda ActiveCommit Ready", "8 /vm/top.img ActiveCommit Canceled", "16 vda ActiveCommit Canceled"], world.Heard);
        await world.WriteAsync(5, 9);
        await world.AssertContentAsync();
    });

    [Fact]
    public void A_relative_name_that_cannot_be_derived_is_refused() => Run(async world =>
    {
        await world.EndAsync(await world.Api.RebaseAsync(world.Domain, "vda", "vda[1]"));
        Assert.Equal(LibvirtErrorCode.OperationInvalid, await CodeOfAsync(() => world.Api.CommitAsync(world.Domain, "vda", null, "vda[1]", flags: Relative | Delete)));
        Assert.Equal("base.img mid.img top.img", world.Files());
        Assert.Null(world.Disk.Job);
    });

    [Fact]
    public void A_file_that_somebody_else_reads_is_not_deleted_and_the_event_says_so() => Run(async world =>
    {
        var opener = new ImageOpener(BuiltInFormats.All, world.Machine.Environment);
        var alone = new ImageOpenOptions { Format = "qcow2", Backing = BackingMode.Ignore };
        await using BlockNode reader = await opener.OpenAsync("/vm/mid.img", alone);
        DiskJob job = await world.Api.CommitAsync(world.Domain, "vda", null, "vda[1]", flags: Delete);
        BlockJobEvent end = await job.Completion;
        Assert.Equal((BlockJobStatus.Completed, LibvirtErrorCode.ResourceBusy), (end.Status, end.Error?.Code));
        Assert.StartsWith("'/vm/mid.img' is not needed any more, and could not be deleted: ", end.Error?.Message, StringComparison.Ordinal);
        Assert.Equal(("top.img base.img", "base.img mid.img top.img"), (world.Describe(), world.Files()));
    });

    private static async Task CommitAsync(BlockJobWorld world, string? top, string? @base, BlockCommitFlags flags)
    {
        bool has(BlockCommitFlags flag) => (flags & flag) != 0;
        bool isActive = top is null or "vda" or "/vm/top.img";
        bool intoBase = @base is "/vm/base.img" or "vda[2]" || (@base is null && (!isActive || !has(Shallow)));
        bool isRightBelow = isActive ? !intoBase : intoBase;
        LibvirtErrorCode expected = isActive != has(Active) || (@base is not null && has(Shallow) && !isRightBelow) ? LibvirtErrorCode.InvalidArg : LibvirtErrorCode.Ok;
        DiskJob? job = null;
        LibvirtErrorCode code = await CodeOfAsync(async () => job = await world.Api.CommitAsync(world.Domain, "vda", @base, top, 5, flags));
        Assert.Equal((flags, expected), (flags, code));
        if (job is null)
        {
            Assert.Null(world.Disk.Job);
            Assert.Empty(world.Heard);
            return;
        }

        BlockJobInfo info = world.Api.GetInfo(world.Domain, "vda", BlockJobInfoFlags.BandwidthBytes)!.Value;
        Assert.Equal((isActive ? BlockJobType.ActiveCommit : BlockJobType.Commit, has(Bytes) ? 5UL : 5UL << 20), (info.Type, info.Bandwidth));
        Assert.Equal(isActive, world.Describe().Contains($"active-commit {(intoBase ? "base" : "mid")}.img qcow2 ready=no", StringComparison.Ordinal));
        await world.Api.SetSpeedAsync(world.Domain, "vda", 0);
        await world.WriteAsync(29, 9);
        Assert.Equal(BlockJobStatus.Completed, await world.EndAsync(job));
        Assert.Null((await job.Completion).Error);
        string chain = !isActive ? "top.img base.img" : intoBase ? "base.img" : "mid.img base.img";
        Assert.Equal(chain, world.Describe());
        string last = world.Disk.Source!.Path;
        string type = isActive ? "ActiveCommit" : "Commit";
        string[] end = [$"8 {last} {type} Completed", $"16 vda {type} Completed"];
        Assert.Equal(isActive ? [$"8 /vm/top.img {type} Ready", $"16 vda {type} Ready", .. end] : end, world.Heard);
        Assert.Equal($"Completed: {chain}", world.Seen[^1]);
        string[] left = has(Delete) ? chain.Split(' ') : ["base.img", "mid.img", "top.img"];
        Assert.Equal(string.Join(' ', left.Order(StringComparer.Ordinal)), world.Files());
        if (!isActive)
        {
            Assert.Equal(has(Relative) ? "base.img" : "/vm/base.img", world.Recorded());
        }

        await world.WriteAsync(30, 9);
        await world.AssertContentAsync();
    }
}
