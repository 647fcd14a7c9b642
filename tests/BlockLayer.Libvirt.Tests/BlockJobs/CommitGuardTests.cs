using Xunit;
using static BlockLayer.Libvirt.Tests.BlockJobs.BlockJobWorld;

namespace BlockLayer.Libvirt.Tests.BlockJobs;

/// <summary>BlockCommit beside other images that stand on those of the disk, on a host that was told where such images lie, and on one that was not.</summary>
public class CommitGuardTests
{
    private const BlockCommitFlags Active = BlockCommitFlags.Active, Delete = BlockCommitFlags.Delete;

    [Theory]
    [InlineData("base.img", null, null, Active, "/vm/base.img")]
    [InlineData("mid.img", null, null, Active, "/vm/mid.img")]
    [InlineData("mid.img", null, "vda[1]", Active, "/vm/mid.img")]
    [InlineData("base.img", "vda[1]", null, BlockCommitFlags.None, "/vm/base.img")]
    public void A_commit_that_would_destroy_an_image_is_refused_by_name_and_changes_nothing(string on, string? top, string? @base, BlockCommitFlags flags, string through)
        => Run(
            async world =>
            {
                await world.CreateAsync("/vm/other.img", backing: on);
                LibvirtException refusal = await Assert.ThrowsAsync<LibvirtException>(() => world.Api.CommitAsync(world.Domain, "vda", @base, top, flags: flags).AsTask());
                Assert.Equal((LibvirtErrorCode.OperationUnsupported, LibvirtErrorDomain.Qemu), (refusal.Code, refusal.Error.Domain));
                Assert.Equal(
                    $"Committing '{(top is null ? "/vm/top.img" : "/vm/mid.img")}' into '{(@base is null ? "/vm/base.img" : "/vm/mid.img")}' would destroy '/vm/other.img' (through '{through}'). "
                    + "Rebase what is to be kept, or remove the rest.",
                    refusal.Error.Message);
                Assert.Null(world.Disk.Job);
                Assert.Empty(world.Heard);
                Assert.Equal(("top.img mid.img base.img", "base.img mid.img other.img top.img"), (world.Describe(), world.Files()));
                await world.AssertContentAsync();
            },
            folder: "/vm");

    [Fact]
    public void An_image_on_the_top_is_refused_only_where_the_top_is_deleted() => Run(
        async world =>
        {
            await world.CreateAsync("/vm/other.img", backing: "mid.img");
            LibvirtException refusal = await Assert.ThrowsAsync<LibvirtException>(() => world.Api.CommitAsync(world.Domain, "vda", null, "vda[1]", flags: Delete).AsTask());
            Assert.Equal(LibvirtErrorCode.OperationUnsupported, refusal.Code);
            Assert.StartsWith("Deleting the files that a commit of '/vm/mid.img' leaves over would destroy '/vm/other.img' (through '/vm/mid.img').", refusal.Error.Message, StringComparison.Ordinal);

            Assert.Equal(BlockJobStatus.Completed, await world.EndAsync(await world.Api.CommitAsync(world.Domain, "vda", null, "vda[1]")));
            Assert.Equal(("top.img base.img", "base.img mid.img other.img top.img"), (world.Describe(), world.Files()));
        },
        folder: "/vm");

    [Fact]
    public void A_top_on_which_nothing_stands_is_deleted() => Run(
        async world =>
        {
            Assert.Equal(BlockJobStatus.Completed, await world.EndAsync(await world.Api.CommitAsync(world.Domain, "vda", null, "vda[1]", flags: Delete)));
            Assert.Equal(("top.img base.img", "base.img top.img"), (world.Describe(), world.Files()));
        },
        folder: "/vm");

    [Theory]
    [InlineData(null)] // nobody said where to look
    [InlineData("/elsewhere")]
    public void Where_no_image_is_found_the_commit_begins(string? folder) => Run(
        async world =>
        {
            await world.CreateAsync("/elsewhere/alone.img");
            await world.CreateAsync("/vm/other.img", backing: "base.img");
            Assert.Equal(BlockJobStatus.Completed, await world.EndAsync(await world.Api.CommitAsync(world.Domain, "vda", flags: Active)));
            Assert.Equal("base.img", world.Describe());
        },
        folder: folder);
}
