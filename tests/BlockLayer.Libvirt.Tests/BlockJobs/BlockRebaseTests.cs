using Xunit;
using static BlockLayer.Libvirt.Tests.BlockJobs.BlockJobWorld;

namespace BlockLayer.Libvirt.Tests.BlockJobs;

/// <summary>What BlockPull and BlockRebase do: each combination of flags that is accepted, with each way to name the base.</summary>
public class BlockRebaseTests
{
    private const BlockRebaseFlags Shallow = BlockRebaseFlags.Shallow, Reuse = BlockRebaseFlags.ReuseExternal, Raw = BlockRebaseFlags.CopyRaw;
    private const BlockRebaseFlags Copy = BlockRebaseFlags.Copy, Relative = BlockRebaseFlags.Relative, Device = BlockRebaseFlags.CopyDevice;
    private const BlockRebaseFlags Bytes = BlockRebaseFlags.BandwidthBytes;

    [Theory]
    [InlineData("vda", BlockPullFlags.None, 3, 3)]
    [InlineData("/vm/top.img", BlockPullFlags.None, 3, 3)]
    [InlineData("vda", BlockPullFlags.BandwidthBytes, 3 << 20, 3)]
    [InlineData("vda", BlockPullFlags.BandwidthBytes, (2 << 20) + 1, 3)]
    [InlineData("vda", BlockPullFlags.None, 0, 0)]
    public void A_pull_leaves_the_active_image_alone(string name, BlockPullFlags flags, ulong bandwidth, ulong told) => Run(async world =>
    {
        DiskJob job = await world.Api.PullAsync(world.Domain, name, bandwidth, flags);
        Assert.Equal((BlockJobType.Pull, told), (world.Api.GetInfo(world.Domain, name)!.Value.Type, world.Api.GetInfo(world.Domain, name)!.Value.Bandwidth));
        await world.WriteAsync(29, 9);
        Assert.Equal(BlockJobStatus.Completed, await world.EndAsync(job));
        Assert.Equal("top.img", world.Describe());
        Assert.Equal(["8 /vm/top.img Pull Completed", "16 vda Pull Completed"], world.Heard);
        Assert.Equal(["Completed: top.img"], world.Seen);
        Assert.Equal("base.img mid.img top.img", world.Files());
        await world.AssertContentAsync();
    });

    [Theory]
    [InlineData(null, "top.img", "")]
    [InlineData("/vm/base.img", "top.img base.img", "/vm/base.img")]
    [InlineData("base.img", "top.img base.img", "/vm/base.img")]
    [InlineData("vda[2]", "top.img base.img", "/vm/base.img")]
    [InlineData("/vm/mid.img", "top.img mid.img base.img", "/vm/mid.img base.img")]
    [InlineData("vda[1]", "top.img mid.img base.img", "/vm/mid.img base.img")]
    public void A_rebase_keeps_its_base(string? @base, string chain, string recorded)
    {
        foreach (BlockRebaseFlags flags in new[] { BlockRebaseFlags.None, Bytes })
        {
            Run(async world =>
            {
                Assert.Equal(BlockJobStatus.Completed, await world.EndAsync(await world.Api.RebaseAsync(world.Domain, "vda", @base, bandwidth: 0, flags)));
                Assert.Equal((chain, recorded), (world.Describe(), world.Recorded()));
                Assert.Equal(["8 /vm/top.img Pull Completed", "16 vda Pull Completed"], world.Heard);
                await world.AssertContentAsync();
            });
        }
    }

    [Theory]
    [InlineData("vda[2]", "base.img")]
    [InlineData("/vm/mid.img", "mid.img base.img")]
    public void A_relative_rebase_records_a_relative_name(string @base, string recorded)
    {
        foreach (BlockRebaseFlags flags in new[] { Relative, Relative | Bytes })
        {
            Run(async world =>
            {
                Assert.Equal(BlockJobStatus.Completed, await world.EndAsync(await world.Api.RebaseAsync(world.Domain, "vda", @base, bandwidth: 0, flags)));
                Assert.Equal(recorded, world.Recorded());
                await world.AssertContentAsync();
            });
        }
    }

    [Fact]
    public void A_relative_rebase_is_refused_where_no_name_can_be_derived() => Run(async world =>
    {
        await world.EndAsync(await world.Api.RebaseAsync(world.Domain, "vda", "vda[1]"));
        Assert.Equal("/vm/mid.img base.img", world.Recorded());
        Assert.Equal(LibvirtErrorCode.OperationInvalid, await CodeOfAsync(() => world.Api.RebaseAsync(world.Domain, "vda", "vda[2]", flags: Relative)));
        Assert.Null(world.Api.GetInfo(world.Domain, "vda"));
        Assert.Equal("top.img mid.img base.img", world.Describe());
    });

    [Fact]
    public void Every_combination_with_COPY_does_what_its_flags_say()
    {
        var combinations = new List<BlockRebaseFlags>();
        for (int flags = 0; flags < 128; flags++)
        {
            var given = (BlockRebaseFlags)flags;
            if ((given & (Copy | Relative)) == Copy)
            {
                combinations.Add(given);
            }
        }

        Assert.Equal(32, combinations.Count);
        foreach (BlockRebaseFlags flags in combinations)
        {
            bool has(BlockRebaseFlags flag) => (flags & flag) != 0;
            Run(async world =>
            {
                bool isShallow = has(Shallow);
                string format = has(Raw) ? "raw" : "qcow2";
                if (has(Reuse))
                {
                    await world.CreateAsync("/vm/copy.img", isShallow && !has(Raw) ? "mid.img" : null, format);
                }

                LibvirtErrorCode expected = (isShallow, has(Raw), has(Device), has(Reuse)) switch
                {
                    (true, true, _, _) => LibvirtErrorCode.ConfigUnsupported, // a raw file has no backing file
                    (_, _, true, true) => LibvirtErrorCode.InvalidArg,        // a file is no device
                    (_, _, true, false) => LibvirtErrorCode.SystemError,      // there is no device
                    _ => LibvirtErrorCode.Ok,
                };
                DiskJob? job = null;
                Assert.Equal((flags, expected), (flags, await CodeOfAsync(async () => job = await world.Api.RebaseAsync(world.Domain, "vda", "/vm/copy.img", 7, flags))));
                if (job is null)
                {
                    Assert.Null(world.Api.GetInfo(world.Domain, "vda"));
                    Assert.Empty(world.Heard);
                    return;
                }

                BlockJobInfo info = world.Api.GetInfo(world.Domain, "vda", BlockJobInfoFlags.BandwidthBytes)!.Value;
                Assert.Equal((BlockJobType.Copy, has(Bytes) ? 7UL : 7UL << 20), (info.Type, info.Bandwidth));
                await world.Api.SetSpeedAsync(world.Domain, "vda", 0);
                await world.WriteAsync(29, 9);
                Assert.Equal(BlockJobStatus.Completed, await world.EndAsync(job));
                Assert.Equal(isShallow ? "copy.img mid.img base.img" : "copy.img", world.Describe());
                Assert.Equal(format, world.Disk.Format);
                Assert.Equal(isShallow ? has(Reuse) ? "mid.img base.img" : "/vm/mid.img base.img" : "", world.Recorded());
                Assert.Equal(["8 /vm/top.img Copy Ready", "16 vda Copy Ready", "8 /vm/copy.img Copy Completed", "16 vda Copy Completed"], world.Heard);
                Assert.Equal("base.img copy.img mid.img top.img", world.Files());
                await world.AssertContentAsync();
            });
        }
    }

    [Fact]
    public void Every_combination_that_the_rules_refuse_is_refused_by_the_call_and_begins_nothing() => Run(async world =>
    {
        int refused = 0;
        for (int flags = 0; flags < 128; flags++)
        {
            foreach (string? @base in new[] { null, "/vm/mid.img", "/vm/copy.img" })
            {
                if (Record.Exception(() => CallRules.Check((BlockRebaseFlags)flags, @base)) is LibvirtException refusal)
                {
                    int answer = await world.Calls.BlockRebase(world.Domain, "vda", @base, 0, (BlockRebaseFlags)flags);
                    Assert.Equal((flags, @base, -1, refusal.Code), (flags, @base, answer, world.Connection.LastError.Code));
                    Assert.Null(world.Disk.Job);
                    refused++;
                }
            }
        }

        // With a base: 60 of the 64 without COPY, and the 32 with COPY and RELATIVE. Without one: 62, and all 64 with COPY.
        Assert.Equal((2 * (60 + 32)) + 62 + 64, refused);
        Assert.Equal(("top.img mid.img base.img", "base.img mid.img top.img"), (world.Describe(), world.Files()));
        Assert.Empty(world.Heard);
    });

    [Fact]
    public void A_raw_file_that_exists_has_to_be_called_raw() => Run(async world =>
    {
        await world.CreateAsync("/vm/copy.img", format: "raw");
        Assert.NotEqual(LibvirtErrorCode.Ok, await CodeOfAsync(() => world.Api.RebaseAsync(world.Domain, "vda", "/vm/copy.img", 0, Copy | Reuse)));
        Assert.True(world.Exists("/vm/copy.img"));
        Assert.Null(world.Disk.Job);
    });
}
