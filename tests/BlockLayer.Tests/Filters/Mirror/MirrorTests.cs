using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Simulation;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Filters;

public class MirrorTests
{
    private const int Region = MirrorFixture.Region;

    [Fact]
    public async Task A_new_mirror_copies_its_source_and_then_keeps_both_sides_equal()
    {
        var sides = new MirrorFixture();
        await sides.Source.WriteAsync(5000, Pattern.Of(5000, 20_000, 1));
        await sides.Destination.WriteAsync(0, Pattern.Of(0, MirrorFixture.Length, 2));
        await using MirrorNode mirror = await sides.OpenAsync();
        Assert.True(await sides.SidesAreEqualAsync());

        await mirror.WriteAsync(777, Pattern.Of(777, 9000, 3));
        await mirror.WriteZeroesAsync(6000, 300);
        await mirror.DiscardAsync(8192, 4096);
        Assert.True(await sides.SidesAreEqualAsync());
        Assert.Equal("blkmirror", mirror.DriverName);
        Assert.Equal(MirrorFixture.Length, mirror.Status.RepairedBytes);
    }

    [Theory]
    [InlineData(MirrorSync.Copy, true)]
    [InlineData(MirrorSync.Later, false)]
    [InlineData(MirrorSync.AssumeEqual, false)]
    public async Task Without_a_log_the_caller_says_whether_the_sides_are_copied(MirrorSync sync, bool copied)
    {
        var sides = new MirrorFixture();
        await sides.Source.WriteAsync(0, Pattern.Of(0, 512, 1));
        await using MirrorNode mirror = await sides.OpenAsync(new MirrorOptions { Sync = sync, Reads = MirrorReads.Destination }, withLog: false);
        Assert.Equal(copied, await sides.SidesAreEqualAsync());
        byte[] read = new byte[512];
        await mirror.ReadAsync(0, read);
        // Believed equal, the destination answers; known to differ, the source.
        Assert.Equal(sync == MirrorSync.AssumeEqual ? new byte[512] : Pattern.Of(0, 512, 1), read);
    }

    [Fact]
    public async Task A_repair_that_is_left_for_later_goes_on_while_guests_write()
    {
        var sides = new MirrorFixture();
        await sides.Source.WriteAsync(0, Pattern.Of(0, MirrorFixture.Length, 1));
        await using MirrorNode mirror = await sides.OpenAsync(new MirrorOptions { Sync = MirrorSync.Later });
        Assert.Equal(MirrorFixture.Length, mirror.Status.DifferingBytes);
        Assert.Equal(9000, mirror.FindDiffering(9000));

        sides.DestinationSteps.Hold(OverlayStep.Store);
        Task repair = mirror.RepairAsync().AsTask();
        Task write = mirror.WriteAsync(100, Pattern.Of(100, 1000, 2)).AsTask(); // waits for the piece that is being copied
        Assert.False(write.IsCompleted);
        await mirror.WriteAsync(Region * 5, Array.Empty<byte>());
        sides.DestinationSteps.Release(OverlayStep.Store);
        await Task.WhenAll(repair, write);

        Assert.True(await sides.SidesAreEqualAsync());
        Assert.Equal(0, mirror.Status.DifferingBytes);
        Assert.Null(mirror.FindDiffering(0));
    }

    // The second write overlaps the first, which one side has taken and the other has not.
    [Theory]
    [InlineData(MirrorAck.Both)]
    [InlineData(MirrorAck.Source)]
    public async Task Writes_that_overlap_reach_both_sides_in_one_order(MirrorAck ack)
    {
        var sides = new MirrorFixture();
        await using MirrorNode mirror = await sides.OpenAsync(new MirrorOptions { Ack = ack });
        sides.DestinationSteps.Hold(OverlayStep.Store);
        Task first = mirror.WriteAsync(0, Pattern.Of(0, 3000, 1)).AsTask();
        Task second = mirror.WriteAsync(2000, Pattern.Of(2000, 3000, 2)).AsTask();
        Task elsewhere = mirror.WriteAsync(20_000, Pattern.Of(20_000, 512, 3)).AsTask();
        Assert.Equal(ack == MirrorAck.Source, first.IsCompleted);
        Assert.False(second.IsCompleted);
        Assert.Equal(ack == MirrorAck.Source, elsewhere.IsCompleted); // others do not wait for the two
        Assert.DoesNotContain(sides.SourceSteps.Log, step => step.Range.Offset >= 3072 && step.Range.Offset < 5000);
        sides.DestinationSteps.Release(OverlayStep.Store);
        await Task.WhenAll(first, second, elsewhere);
        await mirror.FlushAsync();
        Assert.True(await sides.SidesAreEqualAsync());
    }

    [Fact]
    public async Task What_follows_to_the_destination_is_waited_for_by_flush_and_drain_and_needs_no_buffer_of_the_guest()
    {
        var sides = new MirrorFixture();
        await using MirrorNode mirror = await sides.OpenAsync(new MirrorOptions { Ack = MirrorAck.Source });
        sides.DestinationSteps.Hold(OverlayStep.Store);
        byte[] buffer = Pattern.Of(0, 4096, 1);
        Task write = mirror.WriteAsync(0, buffer).AsTask();
        Assert.True(write.IsCompletedSuccessfully);
        Array.Clear(buffer); // the guest's again
        Task flush = mirror.FlushAsync().AsTask();
        Task<DrainScope> drain = DrainScope.BeginAsync(mirror).AsTask();
        Assert.False(flush.IsCompleted);
        Assert.False(drain.IsCompleted);
        sides.DestinationSteps.Release(OverlayStep.Store);
        await flush;
        (await drain).Dispose();
        Assert.True(await sides.SidesAreEqualAsync());
        Assert.Equal(Pattern.Of(0, 4096, 1), (await MirrorFixture.ReadAllAsync(sides.Destination))[..4096]);
        Assert.Equal(0, sides.Environment.Buffers.Outstanding);
    }

    [Fact]
    public async Task A_read_from_a_destination_that_lags_behind_waits_for_what_was_acknowledged()
    {
        var sides = new MirrorFixture();
        await using MirrorNode mirror = await sides.OpenAsync(new MirrorOptions { Ack = MirrorAck.Source, Reads = MirrorReads.Destination });
        sides.DestinationSteps.Hold(OverlayStep.Store);
        await mirror.WriteAsync(0, Pattern.Of(0, 512, 1));
        byte[] found = new byte[512];
        Task read = mirror.ReadAsync(0, found).AsTask();
        Assert.False(read.IsCompleted);
        sides.DestinationSteps.Release(OverlayStep.Store);
        await read;
        Assert.Equal(Pattern.Of(0, 512, 1), found);
    }

    [Fact]
    public async Task A_comparing_read_names_the_first_byte_that_differs()
    {
        var sides = new MirrorFixture();
        await using MirrorNode mirror = await sides.OpenAsync(new MirrorOptions { Reads = MirrorReads.Compare });
        await mirror.WriteAsync(0, new byte[10_000]);
        await sides.Destination.WriteAsync(Origin.Edge, 7001, new byte[] { 0xab }, WriteFlags.None, CancellationToken.None); // past the mirror
        await mirror.ReadAsync(0, new byte[7001]);
        ContentMismatchException error = await Assert.ThrowsAsync<ContentMismatchException>(async () => await mirror.ReadAsync(6000, new byte[3000]));
        Assert.Equal((7001L, (byte)0, (byte)0xab), (error.Offset!.Value, error.Found, error.Expected));
        Assert.Equal("'source' and 'destination' differ: byte 7001 is 0x00 in the first and 0xab in the second.", error.Message);
    }

    [Fact]
    public async Task The_stricter_limits_of_both_sides_hold()
    {
        BlockEnvironment environment = TestEnvironment.Inline();
        ScriptedNode source = await ScriptedNode.CreateAsync(environment, 65536, new BlockLimits { RequestAlignment = 512, MaxTransfer = 8192 }, name: "one");
        ScriptedNode destination = await ScriptedNode.CreateAsync(environment, 70000, new BlockLimits { RequestAlignment = 4096, DiscardGranularity = 8192 }, name: "other");
        await using MirrorNode mirror = await MirrorNode.OpenAsync(source, destination, options: new MirrorOptions { Sync = MirrorSync.AssumeEqual });
        Assert.Equal((4096, 8192, 8192), (mirror.Limits.RequestAlignment, mirror.Limits.MaxTransfer, mirror.Limits.DiscardGranularity));
        Assert.Equal(65536, mirror.Length);
        await mirror.WriteAsync(100, Pattern.Of(100, 10_000, 1));
        Assert.All(source.Script.Calls.Concat(destination.Script.Calls).Where(call => call.Operation == "write"), call => Assert.Equal(0, call.Offset % 4096));
        Assert.Equal(
            source.Script.Calls.Where(call => call.Operation == "write"),
            destination.Script.Calls.Where(call => call.Operation == "write"));
        Assert.Equal(0, destination.Script.Count("read"));
    }

    [Fact]
    public async Task A_shorter_destination_is_refused_and_says_what_to_do()
    {
        var sides = new MirrorFixture(destinationLength: MirrorFixture.Length - 512);
        BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(() => sides.OpenAsync());
        Assert.Equal(BlockErrorKind.OutOfRange, error.Kind);
        Assert.Equal("'destination' is 65024 bytes long and cannot mirror the 65536 bytes of 'source'; grow it first.", error.Message);
    }

    [Fact]
    public async Task A_destination_that_cannot_be_written_or_belongs_to_another_is_refused()
    {
        var readOnly = new MirrorFixture(destinationAccess: NodeAccess.ReadOnly);
        BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(() => readOnly.OpenAsync());
        Assert.Equal(BlockErrorKind.ReadOnly, error.Kind);

        var sides = new MirrorFixture();
        await using MirrorNode mirror = await sides.OpenAsync();
        var others = new MirrorFixture();
        error = await Assert.ThrowsAsync<BlockLayerException>(() => others.OpenAsync(source: sides.Destination, destination: others.Destination));
        Assert.Equal(BlockErrorKind.Conflict, error.Kind);
        error = await Assert.ThrowsAsync<BlockLayerException>(() => others.OpenAsync(destination: sides.Source));
        Assert.Equal(BlockErrorKind.Conflict, error.Kind);
        await mirror.WriteAsync(0, new byte[512]); // still whole
    }

    [Fact]
    public async Task Both_sides_are_resized_and_what_is_added_is_zero_on_both()
    {
        BlockEnvironment environment = TestEnvironment.Inline();
        ScriptedNode source = await ScriptedNode.CreateAsync(environment, 8192, name: "one");
        ScriptedNode destination = await ScriptedNode.CreateAsync(environment, 50_000, name: "other");
        await destination.WriteAsync(0, Pattern.Of(0, 50_000, 1));
        await using MirrorNode mirror = await MirrorNode.OpenAsync(source, destination, options: new MirrorOptions { Reads = MirrorReads.Compare, RegionSize = 4096 });
        await mirror.ResizeAsync(20_000);
        Assert.Equal((20_000, 20_000, 20_000), (mirror.Length, source.Length, destination.Length));
        byte[] all = new byte[20_000];
        await mirror.ReadAsync(0, all);
        Assert.Equal(new byte[20_000], all);
        await mirror.ResizeAsync(4096, new ResizeOptions { AllowShrink = true });
        Assert.Equal((4096, 4096), (source.Length, destination.Length));
        Assert.Equal(4096, mirror.Status.DirtyBytes);
    }

    [Fact]
    public void Regions_that_rest_are_forgotten_and_those_in_use_stay_noted()
    {
        var scheduler = new SimulationScheduler(1);
        scheduler.Run(async () =>
        {
            var sides = new MirrorFixture(scheduler.Time);
            await using MirrorNode mirror = await sides.OpenAsync(new MirrorOptions { CleanAfter = TimeSpan.FromSeconds(5) });
            await mirror.WriteAsync(0, new byte[512]);
            await mirror.WriteAsync(Region * 3, new byte[512]);
            Assert.Equal(2 * Region, mirror.Status.DirtyBytes);
            for (int second = 0; second < 18; second++)
            {
                await Task.Delay(TimeSpan.FromSeconds(1), scheduler.Time);
                await mirror.WriteAsync(Region * 3, new byte[512]);
            }

            Assert.Equal(Region, mirror.Status.DirtyBytes);
            int flushes = sides.DestinationSteps.Count(OverlayStep.Flush);
            await Task.Delay(TimeSpan.FromSeconds(20), scheduler.Time);
            Assert.Equal(0, mirror.Status.DirtyBytes);
            Assert.Equal(flushes + 1, sides.DestinationSteps.Count(OverlayStep.Flush)); // a mirror at rest does nothing
        });
    }
}
