using System.Runtime.CompilerServices;
using System.Xml.Linq;
using Xunit;

namespace BlockLayer.Libvirt.Tests.Events;

/// <summary>Who hears of what, when, and in which order.</summary>
public class EventTests
{
    [Fact]
    public async Task Both_kinds_of_callbacks_hear_of_a_job_each_by_its_name_of_the_disk()
    {
        await using var world = new LibvirtWorld();
        Domain domain = await world.StartChainOfThreeAsync();
        var heard = new List<string>();
        world.Connection.RegisterDomainEvent(null, DomainEventId.BlockJob, Listen(heard, "8"));
        world.Connection.RegisterDomainEvent(domain, DomainEventId.BlockJob2, Listen(heard, "16"));
        domain.TellOfJob(domain.FindDisk("vda"), BlockJobType.Copy, BlockJobStatus.Ready);
        domain.TellOfJob(domain.FindDisk("vda"), BlockJobType.Copy, BlockJobStatus.Completed);
        Assert.Equal(
            ["8 vm /vm/top.img Copy Ready", "16 vm vda Copy Ready", "8 vm /vm/top.img Copy Completed", "16 vm vda Copy Completed"],
            heard);
    }

    [Fact]
    public async Task A_disk_without_a_source_is_told_by_its_target_alone()
    {
        await using var world = new LibvirtWorld();
        Domain domain = await world.Connection.CreateAsync(LibvirtWorld.DomainXml("vm", "<disk device='cdrom'><target dev='sda'/></disk>"));
        var heard = new List<string>();
        world.Connection.RegisterDomainEvent(null, DomainEventId.BlockJob, Listen(heard, "8"));
        world.Connection.RegisterDomainEvent(null, DomainEventId.BlockJob2, Listen(heard, "16"));
        domain.TellOfJob(domain.FindDisk("sda"), BlockJobType.Pull, BlockJobStatus.Failed);
        Assert.Equal(["16 vm sda Pull Failed"], heard);
    }

    [Fact]
    public async Task A_callback_sees_the_description_as_it_is_after_the_job()
    {
        await using var world = new LibvirtWorld();
        Domain domain = await world.StartChainOfThreeAsync();
        DomainDisk disk = domain.FindDisk("vda");
        var job = new StubJob(BlockJobType.Copy);
        disk.Occupy(job);
        disk.Describe(job, new DiskMirror(BlockJobType.Copy, new DiskSource(IsBlockDevice: false, "/vm/copy"), "qcow2", MirrorStage.Copying));
        var seen = new List<string?>();
        BlockJobCallback look = (told, _, _, status) =>
        {
            XElement? mirror = XElement.Parse(told.GetXml()).Element("devices")?.Element("disk")?.Element("mirror");
            seen.Add($"{status} {mirror?.Attribute("ready")?.Value ?? (mirror is null ? "no mirror" : "not ready")}");
        };
        world.Connection.RegisterDomainEvent(domain, DomainEventId.BlockJob2, look);
        disk.Describe(job, disk.Mirror! with { State = MirrorStage.Ready });
        domain.TellOfJob(disk, BlockJobType.Copy, BlockJobStatus.Ready);
        disk.Release(job);
        domain.TellOfJob(disk, BlockJobType.Copy, BlockJobStatus.Completed);
        Assert.Equal(["Ready yes", "Completed no mirror"], seen);
    }

    [Fact]
    public async Task What_a_callback_raises_comes_after_what_is_being_told()
    {
        await using var world = new LibvirtWorld();
        Domain domain = await world.StartChainOfThreeAsync();
        DomainDisk disk = domain.FindDisk("vda");
        var heard = new List<string>();
        BlockJobCallback again = (told, _, type, status) =>
        {
            if (status == BlockJobStatus.Ready)
            {
                told.TellOfJob(disk, type, BlockJobStatus.Completed);
            }
        };
        world.Connection.RegisterDomainEvent(domain, DomainEventId.BlockJob2, again);
        world.Connection.RegisterDomainEvent(domain, DomainEventId.BlockJob2, Listen(heard, "16"));
        domain.TellOfJob(disk, BlockJobType.Copy, BlockJobStatus.Ready);
        Assert.Equal(["16 vm vda Copy Ready", "16 vm vda Copy Completed"], heard);
    }

    [Fact]
    public async Task A_callback_that_was_removed_hears_nothing_more()
    {
        await using var world = new LibvirtWorld();
        Domain domain = await world.StartChainOfThreeAsync();
        var heard = new List<string>();
        int second = 0;
        BlockJobCallback remover = (_, _, _, _) => world.Connection.DeregisterDomainEvent(second);
        int first = world.Connection.RegisterDomainEvent(null, DomainEventId.BlockJob2, remover);
        second = world.Connection.RegisterDomainEvent(null, DomainEventId.BlockJob2, Listen(heard, "second"));
        Assert.Equal((1, 2), (first, second));
        domain.TellOfJob(domain.FindDisk("vda"), BlockJobType.Pull, BlockJobStatus.Completed);
        Assert.Empty(heard);
        var error = Assert.Throws<LibvirtException>(() => world.Connection.DeregisterDomainEvent(second));
        Assert.Equal((LibvirtErrorCode.InvalidArg, "There is no callback 2."), (error.Code, error.Message));
    }

    [Fact]
    public async Task Only_the_domain_that_was_asked_for_is_told()
    {
        await using var world = new LibvirtWorld();
        Domain domain = await world.StartChainOfThreeAsync();
        Domain other = world.Connection.Define(LibvirtWorld.DomainXml("other"));
        var heard = new List<string>();
        world.Connection.RegisterDomainEvent(other, DomainEventId.BlockJob2, Listen(heard, "other"));
        domain.TellOfJob(domain.FindDisk("vda"), BlockJobType.Pull, BlockJobStatus.Completed);
        Assert.Empty(heard);
    }

    [Fact]
    public async Task What_a_callback_throws_comes_out_after_the_others_were_told()
    {
        await using var world = new LibvirtWorld();
        Domain domain = await world.StartChainOfThreeAsync();
        var heard = new List<string>();
        BlockJobCallback failing = (_, _, _, _) => throw new InvalidOperationException("mine");
        world.Connection.RegisterDomainEvent(null, DomainEventId.BlockJob2, failing);
        world.Connection.RegisterDomainEvent(null, DomainEventId.BlockJob2, Listen(heard, "16"));
        Assert.Equal(
            "mine",
            Assert.Throws<InvalidOperationException>(() => domain.TellOfJob(domain.FindDisk("vda"), BlockJobType.Pull, BlockJobStatus.Completed)).Message);
        Assert.Single(heard);
    }

    [Theory]
    [InlineData(0, LibvirtErrorCode.InvalidArg)]
    [InlineData(-1, LibvirtErrorCode.InvalidArg)]
    [InlineData(24, LibvirtErrorCode.NoSupport)]
    [InlineData(99, LibvirtErrorCode.InvalidArg)]
    [InlineData(9, LibvirtErrorCode.InvalidArg)] // for the callback of a job
    public async Task Kinds_that_do_not_exist_and_callbacks_of_another_kind_are_refused(int id, LibvirtErrorCode expected)
    {
        await using var world = new LibvirtWorld();
        BlockJobCallback callback = (_, _, _, _) => { };
        Assert.Equal(expected, Assert.Throws<LibvirtException>(() => world.Connection.RegisterDomainEvent(null, (DomainEventId)id, callback)).Code);
    }

    [Theory]
    [InlineData(DomainEventId.BlockJob, "BlockJobCallback")]
    [InlineData(DomainEventId.BlockJob2, "BlockJobCallback")]
    [InlineData(DomainEventId.DiskChange, "DiskChangeCallback")]
    public async Task A_missing_callback_is_refused(DomainEventId id, string expected)
    {
        await using var world = new LibvirtWorld();
        var error = Assert.Throws<LibvirtException>(() => world.Connection.RegisterDomainEvent(null, id, null!));
        Assert.Equal($"A callback for events of kind {(int)id} is missing; expected is {expected}.", error.Message);
    }

    [Fact]
    public async Task Events_that_are_held_come_late_and_in_order()
    {
        await using var world = new LibvirtWorld();
        Domain domain = await world.StartChainOfThreeAsync();
        var heard = new List<string>();
        world.Connection.RegisterDomainEvent(null, DomainEventId.BlockJob2, Listen(heard, "16"));
        IDisposable hold = world.Host.HoldEvents();
        IDisposable second = world.Host.HoldEvents();
        domain.TellOfJob(domain.FindDisk("vda"), BlockJobType.Copy, BlockJobStatus.Ready);
        domain.TellOfJob(domain.FindDisk("vda"), BlockJobType.Copy, BlockJobStatus.Canceled);
        hold.Dispose();
        hold.Dispose(); // once is enough
        Assert.Empty(heard);
        second.Dispose();
        Assert.Equal(["16 vm vda Copy Ready", "16 vm vda Copy Canceled"], heard);
    }

    [Fact]
    public async Task A_closed_connection_hears_nothing_and_its_streams_end()
    {
        await using var world = new LibvirtWorld();
        Domain domain = await world.StartChainOfThreeAsync();
        LibvirtConnection other = world.Host.Connect(ConnectionAccess.ReadOnly);
        var heard = new List<string>();
        other.RegisterDomainEvent(null, DomainEventId.BlockJob2, Listen(heard, "16"));
        DomainEventStream stream = other.WatchEvents();
        domain.TellOfJob(domain.FindDisk("vda"), BlockJobType.Pull, BlockJobStatus.Completed);
        other.Dispose();
        domain.TellOfJob(domain.FindDisk("vda"), BlockJobType.Pull, BlockJobStatus.Failed);
        Assert.Single(heard);
        var read = new List<DomainEvent>();
        await foreach (DomainEvent what in stream)
        {
            read.Add(what);
        }

        Assert.Equal([new BlockJobEvent(domain, "vda", "/vm/top.img", BlockJobType.Pull, BlockJobStatus.Completed)], read);
    }

    [Fact]
    public async Task A_stream_gives_events_from_its_making_on_and_waits_for_the_next()
    {
        await using var world = new LibvirtWorld();
        Domain domain = await world.StartChainOfThreeAsync();
        DomainDisk disk = domain.FindDisk("vda");
        domain.TellOfJob(disk, BlockJobType.Pull, BlockJobStatus.Failed); // before: not heard
        using DomainEventStream stream = world.Connection.WatchEvents(domain);
        domain.TellOfJob(disk, BlockJobType.Copy, BlockJobStatus.Ready);
        await using IAsyncEnumerator<DomainEvent> reader = stream.GetAsyncEnumerator();
        Assert.True(await reader.MoveNextAsync());
        Assert.Equal(BlockJobStatus.Ready, ((BlockJobEvent)reader.Current).Status);
        ValueTask<bool> next = reader.MoveNextAsync();
        Assert.False(next.IsCompleted);
        domain.TellOfJob(disk, BlockJobType.Copy, BlockJobStatus.Canceled);
        Assert.True(await next);
        Assert.Equal(BlockJobStatus.Canceled, ((BlockJobEvent)reader.Current).Status);
        next = reader.MoveNextAsync();
        stream.Dispose();
        Assert.False(await next);
    }

    [Fact]
    public async Task Waiting_for_an_event_can_be_cancelled_and_loses_none()
    {
        await using var world = new LibvirtWorld();
        Domain domain = await world.StartChainOfThreeAsync();
        using DomainEventStream stream = world.Connection.WatchEvents();
        using var source = new CancellationTokenSource();
        await using (IAsyncEnumerator<DomainEvent> impatient = stream.GetAsyncEnumerator(source.Token))
        {
            ValueTask<bool> next = impatient.MoveNextAsync();
            source.Cancel();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => next.AsTask());
        }

        domain.TellOfJob(domain.FindDisk("vda"), BlockJobType.Pull, BlockJobStatus.Completed);
        await using IAsyncEnumerator<DomainEvent> reader = stream.GetAsyncEnumerator();
        Assert.True(await reader.MoveNextAsync());
    }

    // A program that watches one job after the other, for years, on one connection.
    [Fact]
    public async Task A_stream_that_is_disposed_is_kept_by_nobody()
    {
        await using var world = new LibvirtWorld();
        Domain domain = await world.StartChainOfThreeAsync();
        WeakReference stream = watch();
        GC.Collect();
        Assert.False(stream.IsAlive);
        domain.TellOfJob(domain.FindDisk("vda"), BlockJobType.Pull, BlockJobStatus.Completed);

        [MethodImpl(MethodImplOptions.NoInlining)] // what it has on its stack is gone when it returns
        WeakReference watch()
        {
            using DomainEventStream stream = world.Connection.WatchEvents(domain);
            return new WeakReference(stream);
        }
    }

    // Two threads raise and listeners note the order: both listeners have the same one, and each thread's events are in its order.
    [Fact]
    public async Task Events_of_several_threads_are_told_to_everybody_in_one_order()
    {
        const int Each = 2000;
        await using var world = new LibvirtWorld();
        Domain domain = await world.StartChainOfThreeAsync();
        var queue = new DomainEventQueue();
        var first = new List<DomainEvent>();
        var second = new List<DomainEvent>();
        queue.Add(first.Add);
        queue.Add(second.Add);
        Task[] raisers = [.. Enumerable.Range(0, 2).Select(thread => Task.Run(() =>
        {
            for (int i = 0; i < Each; i++)
            {
                queue.Raise(new DiskChangeEvent(domain, $"{i}", null, $"{thread}", DiskChangeReason.MissingOnStart));
            }
        }))];
        await Task.WhenAll(raisers);
        Assert.Equal(2 * Each, first.Count);
        Assert.Equal(first, second);
        foreach (string thread in new[] { "0", "1" })
        {
            Assert.Equal(Enumerable.Range(0, Each).Select(i => $"{i}"), first.Cast<DiskChangeEvent>().Where(what => what.Target == thread).Select(what => what.OldPath));
        }
    }

    private static BlockJobCallback Listen(List<string> heard, string name)
        => (domain, disk, type, status) => heard.Add($"{name} {domain.Name} {disk} {type} {status}");
}
