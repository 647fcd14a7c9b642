using BlockLayer.Jobs;
using BlockLayer.Libvirt.Tests.BlockJobs;
using BlockLayer.Simulation;
using BlockLayer.TestKit;
using Xunit;
using static BlockLayer.Libvirt.Tests.Streams.StreamRig;

namespace BlockLayer.Libvirt.Tests.Streams;

/// <summary>Calls of the early generations that meet each other, other generations' calls and the end of things, each at the moment that matters.</summary>
public class StreamRaceTests
{
    private const int Unit = BlockJobWorld.Unit;

    [Fact]
    public void Increments_of_two_callers_take_turns() => Run(async rig =>
    {
        StorageBreakpoint held = rig.BreakAtBase();
        BlockStreamCursor one = new(), other = new(4 * Unit);
        Task<StreamIncrement> first = rig.BlockStream.StreamAsync(rig.Domain, Top, one).AsTask();
        await held.ReachedAsync();
        Task<StreamIncrement> second = rig.BlockStream.StreamAsync(rig.Domain, Top, other).AsTask();
        await rig.World.Machine.PassAsync(TimeSpan.FromMinutes(1));
        Assert.False(second.IsCompleted);
        held.Continue();
        await first;
        await second;
        Assert.Equal((1UL * Unit, 5UL * Unit), (one.Value, other.Value));
    });

    [Fact]
    public void Two_callers_with_a_cursor_each_stream_the_device_together() => Run(async rig =>
    {
        long copied = 0;
        await Task.WhenAll(CallAsync(0), CallAsync(6 * Unit));
        Assert.Equal(Lacking * (long)Unit, copied); // nothing twice
        Assert.Equal("top.img", rig.World.Describe());
        Assert.Equal(["Completed: top.img"], rig.World.Seen);
        await rig.World.AssertContentAsync();

        async Task CallAsync(ulong from)
        {
            var cursor = new BlockStreamCursor(from);
            for (bool isComplete = false; !isComplete;)
            {
                StreamIncrement increment = await rig.BlockStream.StreamAsync(rig.Domain, Top, cursor);
                copied += increment.CopiedBytes;
                isComplete = increment.IsComplete;
                await rig.World.Machine.PassAsync(TimeSpan.FromMilliseconds(1));
            }
        }
    });

    [Fact]
    public void The_last_increment_is_told_as_completed_although_an_image_that_is_not_needed_any_more_cannot_be_closed() => BlockJobWorld.Run(
        async world =>
        {
            var rig = new StreamRig(world);
            var cursor = new BlockStreamCursor(0);
            StreamIncrement increment;
            do
            {
                increment = await rig.BlockStream.StreamAsync(rig.Domain, Top, cursor);
            }
            while (!increment.IsComplete);

            Assert.Equal((FailingClose.Message, (ulong)DiskLength), (increment.Error?.Message, cursor.Value));
            Assert.Equal(["Completed: top.img"], world.Seen);
        },
        files: static machine => new HookedStorageProvider(machine.Storage, "/vm/mid.img", new FailingClose()));

    [Fact]
    public void A_start_waits_for_an_increment_and_goes_on_where_it_ended() => Run(async rig =>
    {
        StorageBreakpoint held = rig.BreakAtBase();
        Task<long> increment = rig.StreamDiskCalls.StreamDisk(rig.Domain, "vda", 0, StreamDiskFlags.One).AsTask();
        await held.ReachedAsync();
        Task<DiskJob> start = rig.World.Api.PullAsync(rig.Domain, "vda").AsTask();
        held.Continue();
        Assert.Equal(Unit, await increment);
        DiskJob pull = await start;
        Assert.Equal(BlockJobStatus.Completed, (await pull.Completion).Status);
        Assert.Equal((Lacking - 1) * (long)Unit, ((StreamJob)pull.Job!).CopiedBytes);
    });

    [Fact]
    public void A_stop_that_comes_when_the_header_is_written_is_too_late_and_succeeds() => Run(async rig =>
    {
        StorageBreakpoint header = rig.BreakAtHeader();
        DiskJob stream = await rig.StreamDisk.StartAsync(rig.Domain, "vda");
        await header.ReachedAsync();
        Task<long> stop = rig.StreamDiskCalls.StreamDisk(rig.Domain, "vda", 0, StreamDiskFlags.Stop).AsTask();
        header.Continue();
        Assert.Equal(0, await stop);
        Assert.Equal(BlockJobStatus.Completed, (await stream.Completion).Status);
        Assert.Equal("top.img", rig.World.Describe());
    });

    [Fact]
    public void A_second_abort_is_refused_while_the_first_is_under_way() => Run(async rig =>
    {
        StorageBreakpoint held = rig.BreakAtBase();
        await rig.BlockStream.StartAsync(rig.Domain, Top);
        await held.ReachedAsync();
        Task<int> first = rig.BlockStreamCalls.BlockStreamAbort(rig.Domain, Top, 0).AsTask();
        using LibvirtConnection other = rig.World.Host.Connect();
        Assert.Equal(-1, await new BlockStreamCalls(other).BlockStreamAbort(rig.Domain, Top, 0));
        Assert.Equal(LibvirtErrorCode.OperationInvalid, other.LastError.Code);
        held.Continue();
        Assert.Equal(0, await first);
    });

    [Fact]
    public void A_domain_that_stops_waits_for_the_increment_and_the_next_caller_is_told() => Run(async rig =>
    {
        StorageBreakpoint held = rig.BreakAtBase();
        BlockStreamCursor cursor = new(), late = new();
        Task<StreamIncrement> increment = rig.BlockStream.StreamAsync(rig.Domain, Top, cursor).AsTask();
        await held.ReachedAsync();
        Task stop = rig.World.Connection.ShutOffAsync(rig.Domain).AsTask();
        Task<StreamIncrement> next = rig.BlockStream.StreamAsync(rig.Domain, Top, late).AsTask();
        held.Continue();
        Assert.Equal(Unit, (await increment).Next);
        await stop;
        Assert.Equal(LibvirtErrorCode.OperationInvalid, (await Assert.ThrowsAsync<LibvirtException>(() => next)).Code);
        Assert.Equal(0UL, late.Value);
    }, DomainLifetime.Persistent);

    [Fact]
    public void A_domain_that_stops_cancels_a_continuous_stream() => Run(async rig =>
    {
        StorageBreakpoint held = rig.BreakAtBase();
        DiskJob stream = await rig.BlockStream.StartAsync(rig.Domain, Top);
        await held.ReachedAsync();
        Task stop = rig.World.Connection.ShutOffAsync(rig.Domain).AsTask();
        held.Continue();
        await stop;
        Assert.Equal(BlockJobStatus.Canceled, (await stream.Completion).Status);
    }, DomainLifetime.Persistent);

    [Fact]
    public void A_cancelled_increment_leaves_the_cursor_and_the_disk_to_others() => Run(async rig =>
    {
        using var impatience = new CancellationTokenSource();
        StorageBreakpoint held = rig.BreakAtBase();
        var cursor = new BlockStreamCursor();
        Task<StreamIncrement> increment = rig.BlockStream.StreamAsync(rig.Domain, Top, cursor, impatience.Token).AsTask();
        await held.ReachedAsync();
        impatience.Cancel();
        held.Continue();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => increment);
        Assert.Equal(0UL, cursor.Value);
        Assert.False((await rig.BlockStream.StreamAsync(rig.Domain, Top, cursor)).IsComplete);
    });

    // The event comes when the description says what it says, and the disk is free: the listener starts the next call from inside.
    [Fact]
    public void A_listener_may_use_the_disk_when_the_last_increment_is_told() => Run(async rig =>
    {
        Task<long>? again = null;
        BlockJobCallback hear = (_, _, _, _) => again = rig.StreamDiskCalls.StreamDisk(rig.Domain, "vda", 0, StreamDiskFlags.One).AsTask();
        rig.World.Connection.RegisterDomainEvent(null, DomainEventId.BlockJob2, hear);
        var cursor = new BlockStreamCursor();
        while (!(await rig.BlockStream.StreamAsync(rig.Domain, Top, cursor)).IsComplete)
        {
        }

        Assert.Equal(DiskLength, await again!);
    });
}
