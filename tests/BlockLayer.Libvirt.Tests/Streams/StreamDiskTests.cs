using BlockLayer.Jobs;
using BlockLayer.Libvirt.Tests.BlockJobs;
using BlockLayer.Simulation;
using Xunit;
using static BlockLayer.Libvirt.Tests.Streams.StreamRig;

namespace BlockLayer.Libvirt.Tests.Streams;

/// <summary>The first generation: what its one call does, and what it answers.</summary>
public class StreamDiskTests
{
    private const int Unit = BlockJobWorld.Unit;

    [Fact]
    public void A_whole_device_is_streamed_in_the_background() => Run(async rig =>
    {
        DiskJob stream = await rig.StreamDisk.StartAsync(rig.Domain, "vda");
        await rig.World.WriteAsync(30, 9);
        Assert.Equal(BlockJobStatus.Completed, (await stream.Completion).Status);
        Assert.Equal("top.img", rig.World.Describe());
        Assert.Empty(rig.StreamDisk.GetInfo(rig.Domain));
        await rig.World.AssertContentAsync();
    });

    [Fact]
    public void Sector_by_sector_each_answer_is_the_next_offset() => Run(async rig =>
    {
        var answers = new List<long>();
        for (long offset = 0; offset < DiskLength; offset = answers[^1])
        {
            answers.Add(await rig.StreamDiskCalls.StreamDisk(rig.Domain, "vda", (ulong)offset, StreamDiskFlags.One));
            await rig.World.WriteAsync(30, answers.Count);
        }

        Assert.Equal([.. Enumerable.Range(1, Lacking).Select(unit => unit * (long)Unit), DiskLength], answers);
        Assert.Equal("top.img", rig.World.Describe());
        Assert.Equal(["8 /vm/top.img Pull Completed", "16 vda Pull Completed"], rig.World.Heard);
        Assert.Equal(["Completed: top.img"], rig.World.Seen);
        await rig.World.AssertContentAsync();
        Assert.Equal(DiskLength, await rig.StreamDiskCalls.StreamDisk(rig.Domain, "vda", 0, StreamDiskFlags.One)); // nothing is below any more
        Assert.Equal(2, rig.World.Heard.Count);                                                                   // and nobody is told twice
    });

    [Fact]
    public void A_sector_says_what_it_copied_and_whether_it_was_the_last() => Run(async rig =>
    {
        Assert.Equal(new StreamIncrement(6 * Unit, Unit, IsComplete: false), await rig.StreamDisk.StreamSectorAsync(rig.Domain, "vda", (5 * Unit) + 512));
        Assert.Equal("top.img mid.img base.img", rig.World.Describe());
        Assert.Empty(rig.World.Heard);
    });

    [Fact]
    public void Start_and_stop_answer_nothing_but_success() => Run(async rig =>
    {
        StorageBreakpoint held = rig.BreakAtBase();
        Assert.Equal(0, await rig.StreamDiskCalls.StreamDisk(rig.Domain, "vda", 0, StreamDiskFlags.Start));
        await held.ReachedAsync();
        Task<long> stop = rig.StreamDiskCalls.StreamDisk(rig.Domain, "vda", 0, StreamDiskFlags.Stop).AsTask();
        await rig.World.Machine.PassAsync(TimeSpan.FromMinutes(1));
        Assert.False(stop.IsCompleted); // not before it has stopped
        held.Continue();
        Assert.Equal(0, await stop);
        Assert.Equal("top.img mid.img base.img", rig.World.Describe());
        Assert.Equal(["8 /vm/top.img Pull Canceled", "16 vda Pull Canceled"], rig.World.Heard);
        await rig.World.AssertContentAsync();
    });

    [Fact]
    public void Info_tells_alias_position_and_size_of_every_device_that_is_streamed_whole() => Run(async rig =>
    {
        Domain two = await rig.AddDomainOfTwoAsync();
        StorageBreakpoint held = rig.BreakAt("/vm/base.img", StorageOperations.Read);
        var states = new StreamDiskState[] { default, default, new("untouched", 1, 2) };
        Assert.Equal(0, rig.StreamDiskCalls.StreamDiskInfo(two, states, 2, 0));
        await rig.StreamDisk.StartAsync(two, "vda");
        await rig.StreamDisk.StartAsync(two, "vdb");
        await held.ReachedAsync();
        Assert.Equal(2, rig.StreamDiskCalls.StreamDiskInfo(two, states, 3, 0));
        Assert.Equal(["vda", "vdb"], states[..2].Select(state => state.Alias));
        Assert.All(states[..2], state => Assert.True(state.Offset <= state.Size && state.Size == (ulong)DiskLength, $"{state}"));
        Assert.Equal(new StreamDiskState("untouched", 1, 2), states[2]);

        var one = new StreamDiskState[1];
        Assert.Equal(1, rig.StreamDiskCalls.StreamDiskInfo(two, one, 1, 0)); // as many as there is room for
        Assert.Equal("vda", one[0].Alias);
        Assert.Equal(0, rig.StreamDiskCalls.StreamDiskInfo(two, null, 0, 0));
        held.Continue();
    });

    [Theory]
    [InlineData(1u, 0)]
    [InlineData(0u, 1)]
    public void Info_refuses_room_that_is_not_there_and_flags(uint room, int flags) => Run(rig =>
    {
        Assert.Equal(-1, rig.StreamDiskCalls.StreamDiskInfo(rig.Domain, null, room, flags));
        Assert.Equal(LibvirtErrorCode.InvalidArg, rig.LastCode);
        return Task.CompletedTask;
    });

    // Every combination of flags and one bit beyond them, with and without an offset, with every way to name the device.
    [Fact]
    public void Every_combination_of_flags_offset_and_name_is_taken_or_refused_as_documented()
    {
        var refused = new List<(int Flags, ulong Offset, string? Name)>();
        for (int flags = 0; flags < 16; flags++)
        {
            foreach (ulong offset in new ulong[] { 0, Unit, (ulong)DiskLength, (ulong)DiskLength + 1, ulong.MaxValue })
            {
                foreach (string? name in new[] { "vda", Top, "vdx", "", null })
                {
                    refused.Add((flags, offset, name));
                }
            }
        }

        foreach ((int Flags, ulong Offset, string? Name) fine in new (int, ulong, string?)[] { (1, 0, "vda"), (4, 0, "vda"), (4, Unit, "vda"), (4, (ulong)DiskLength, "vda") })
        {
            Assert.True(refused.Remove(fine));
            Run(rig => CheckAsync(rig, fine, LibvirtErrorCode.Ok));
        }

        Assert.Equal((16 * 5 * 5) - 4, refused.Count);
        Run(async rig =>
        {
            foreach ((int Flags, ulong Offset, string? Name) call in refused)
            {
                await CheckAsync(rig, call, call == (2, 0, "vda") ? LibvirtErrorCode.OperationInvalid : LibvirtErrorCode.InvalidArg); // nothing to stop
            }

            Assert.Equal("top.img mid.img base.img", rig.World.Describe());
        });
    }

    private static async Task CheckAsync(StreamRig rig, (int Flags, ulong Offset, string? Name) call, LibvirtErrorCode expected)
    {
        long answer = await rig.StreamDiskCalls.StreamDisk(rig.Domain, call.Name, call.Offset, (StreamDiskFlags)call.Flags);
        Assert.Equal((call, expected, expected == LibvirtErrorCode.Ok), (call, rig.LastCode, answer != -1));
    }
}
