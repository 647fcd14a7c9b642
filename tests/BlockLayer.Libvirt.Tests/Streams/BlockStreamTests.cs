using BlockLayer.Errors;
using BlockLayer.Jobs;
using BlockLayer.Libvirt.Tests.BlockJobs;
using BlockLayer.Simulation;
using Xunit;
using static BlockLayer.Libvirt.Tests.Streams.StreamRig;

namespace BlockLayer.Libvirt.Tests.Streams;

/// <summary>The third generation: cursors, paths, and the array of what streams.</summary>
public class BlockStreamTests
{
    private const int Unit = BlockJobWorld.Unit;

    [Fact]
    public void A_cursor_is_moved_on_in_place_until_it_stays() => Run(async rig =>
    {
        var cursor = new BlockStreamCursor();
        var places = new List<ulong>();
        do
        {
            places.Add(cursor.Value);
            Assert.Equal(0, await rig.BlockStreamCalls.BlockStream(rig.Domain, Top, cursor, BlockStreamFlags.None));
        }
        while (cursor.Value != places[^1]);

        Assert.Equal([.. Enumerable.Range(0, Lacking + 1).Select(unit => (ulong)unit * Unit), (ulong)DiskLength], places);
        Assert.Equal("top.img", rig.World.Describe());
        Assert.Equal(["8 /vm/top.img Pull Completed", "16 vda Pull Completed"], rig.World.Heard);
        await rig.World.AssertContentAsync();
    });

    [Fact]
    public void An_increment_that_fails_leaves_the_cursor() => Run(async rig =>
    {
        var cursor = new BlockStreamCursor(2 * Unit);
        StorageBreakpoint held = rig.BreakAtBase();
        Task<int> call = rig.BlockStreamCalls.BlockStream(rig.Domain, Top, cursor, BlockStreamFlags.None).AsTask();
        await held.ReachedAsync();
        held.Fail(BlockErrorKind.Io);
        Assert.Equal((-1, LibvirtErrorCode.SystemError, 2UL * Unit), (await call, rig.LastCode, cursor.Value));
        Assert.Equal(0, await rig.BlockStreamCalls.BlockStream(rig.Domain, Top, cursor, BlockStreamFlags.None));
        Assert.Equal(3UL * Unit, cursor.Value);
    });

    [Fact]
    public void A_continuous_stream_needs_no_cursor_and_moves_none() => Run(async rig =>
    {
        var cursor = new BlockStreamCursor(7);
        Assert.Equal(0, await rig.BlockStreamCalls.BlockStream(rig.Domain, Top, cursor, BlockStreamFlags.Continuous));
        DiskJob stream = Assert.IsType<DiskJob>(rig.World.Disk.Job);
        Assert.Equal(BlockJobStatus.Completed, (await stream.Completion).Status);
        Assert.Equal(7UL, cursor.Value);
        Assert.Equal(0, await rig.BlockStreamCalls.BlockStream(rig.Domain, Top, null, BlockStreamFlags.Continuous)); // with nothing to do
        await rig.World.AssertContentAsync();
    });

    [Fact]
    public void Abort_ends_a_continuous_stream_and_increments_go_on_from_there() => Run(async rig =>
    {
        DiskJob stream = await rig.BlockStream.StartAsync(rig.Domain, Top);
        JobBreakpoint held = JobBreakpoint.After(stream.Job!, 4 * Unit);
        await held.ReachedAsync();
        Task<int> abort = rig.BlockStreamCalls.BlockStreamAbort(rig.Domain, Top, 0).AsTask();
        held.Continue();
        Assert.Equal(0, await abort);
        Assert.Equal(BlockJobStatus.Canceled, (await stream.Completion).Status);

        var cursor = new BlockStreamCursor();
        long copied = 0;
        for (bool isComplete = false; !isComplete;)
        {
            StreamIncrement increment = await rig.BlockStream.StreamAsync(rig.Domain, Top, cursor);
            (copied, isComplete) = (copied + increment.CopiedBytes, increment.IsComplete);
        }

        Assert.Equal((Lacking - 4) * (long)Unit, copied);
        await rig.World.AssertContentAsync();
    });

    [Fact]
    public void Info_fills_as_many_entries_as_the_caller_has() => Run(async rig =>
    {
        Domain two = await rig.AddDomainOfTwoAsync();
        StorageBreakpoint held = rig.BreakAtBase();
        await rig.BlockStream.StartAsync(two, "/vm/a.img");
        await rig.World.Api.PullAsync(two, "vdb"); // of another generation
        await held.ReachedAsync();
        var info = new BlockStreamInfo[] { default, default, new("untouched", 1, 2) };
        for (uint room = 0; room <= 3; room++)
        {
            Assert.Equal((int)Math.Min(room, 2), rig.BlockStreamCalls.GetBlockStreamInfo(two, info, room, 0));
        }

        Assert.Equal(["/vm/a.img", "/vm/b.img", "untouched"], info.Select(entry => entry.Path));
        Assert.All(info[..2], entry => Assert.True(entry.Cur <= entry.End && entry.End == (ulong)DiskLength, $"{entry}"));
        Assert.Equal(-1, rig.BlockStreamCalls.GetBlockStreamInfo(two, info, 4, 0));
        Assert.Equal(LibvirtErrorCode.InvalidArg, rig.LastCode);
        Assert.Equal(-1, rig.BlockStreamCalls.GetBlockStreamInfo(two, info, 3, 1));
        held.Continue();
    });

    [Theory]
    [InlineData(1023, LibvirtErrorCode.Ok)]
    [InlineData(1024, LibvirtErrorCode.InvalidArg)]
    public void A_path_has_1024_bytes_with_its_zero(int bytes, LibvirtErrorCode expected) => Run(async rig =>
    {
        string path = $"/vm/{new string('ä', (bytes - 4) / 2)}{(bytes % 2 == 0 ? "" : "x")}"; // two bytes each: bytes count, not characters
        Assert.Equal(bytes, System.Text.Encoding.UTF8.GetByteCount(path));
        Domain domain = await rig.AddDomainAsync("long", ("vda", path));
        int answer = await rig.BlockStreamCalls.BlockStream(domain, path, new BlockStreamCursor(), BlockStreamFlags.None);
        Assert.Equal((expected, expected == LibvirtErrorCode.Ok ? 0 : -1), (rig.LastCode, answer));
        Assert.Equal(expected == LibvirtErrorCode.Ok ? LibvirtErrorCode.OperationInvalid : expected, await Code(() => rig.BlockStream.AbortAsync(domain, path)));

        // Other generations have other names for the disk, and no entry for it here.
        StorageBreakpoint held = rig.BreakAtBase();
        await rig.StreamDisk.StartAsync(domain, "vda");
        await held.ReachedAsync();
        Assert.Equal(expected == LibvirtErrorCode.Ok ? 1 : -1, rig.BlockStreamCalls.GetBlockStreamInfo(domain, new BlockStreamInfo[1], 1, 0));
        Assert.Equal(expected == LibvirtErrorCode.Ok ? LibvirtErrorCode.Ok : LibvirtErrorCode.Overflow, rig.LastCode);
        held.Continue();
    });

    [Fact]
    public void Every_combination_of_flags_cursor_and_name_is_taken_or_refused_as_documented()
    {
        var refused = new List<(int Flags, ulong? Place, string? Name)>();
        for (int flags = 0; flags < 4; flags++)
        {
            foreach (ulong? place in new ulong?[] { null, 0, Unit, (ulong)DiskLength, (ulong)DiskLength + 1, ulong.MaxValue })
            {
                foreach (string? name in new[] { Top, "vda", "/vm/other.img", "", null })
                {
                    bool isFine = name == Top && (flags == 1 || (flags == 0 && place <= (ulong)DiskLength)); // a continuous stream does not look at its cursor
                    if (isFine)
                    {
                        Run(rig => CheckAsync(rig, (flags, place, name), LibvirtErrorCode.Ok));
                    }
                    else
                    {
                        refused.Add((flags, place, name));
                    }
                }
            }
        }

        Assert.Equal((4 * 6 * 5) - 6 - 3, refused.Count);
        Run(async rig =>
        {
            foreach ((int Flags, ulong? Place, string? Name) call in refused)
            {
                await CheckAsync(rig, call, LibvirtErrorCode.InvalidArg);
            }
        });
    }

    [Theory]
    [InlineData(Top, 1, LibvirtErrorCode.InvalidArg)]
    [InlineData("vda", 0, LibvirtErrorCode.InvalidArg)]
    [InlineData(null, 0, LibvirtErrorCode.InvalidArg)]
    [InlineData(Top, 0, LibvirtErrorCode.OperationInvalid)]
    public void Abort_needs_a_stream_a_path_and_no_flags(string? path, int flags, LibvirtErrorCode expected) => Run(async rig =>
    {
        Assert.Equal(-1, await rig.BlockStreamCalls.BlockStreamAbort(rig.Domain, path, flags));
        Assert.Equal(expected, rig.LastCode);
    });

    private static async Task CheckAsync(StreamRig rig, (int Flags, ulong? Place, string? Name) call, LibvirtErrorCode expected)
    {
        BlockStreamCursor? cursor = call.Place is { } value ? new BlockStreamCursor(value) : null;
        int answer = await rig.BlockStreamCalls.BlockStream(rig.Domain, call.Name, cursor, (BlockStreamFlags)call.Flags);
        Assert.Equal((call, expected, expected == LibvirtErrorCode.Ok ? 0 : -1), (call, rig.LastCode, answer));
    }

    private static Task<LibvirtErrorCode> Code(Func<ValueTask> call) => BlockJobWorld.CodeOfAsync(async () =>
    {
        await call();
        return 0;
    });
}
