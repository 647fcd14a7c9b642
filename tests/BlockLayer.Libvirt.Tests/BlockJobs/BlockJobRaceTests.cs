using BlockLayer.Errors;
using BlockLayer.Jobs;
using BlockLayer.Simulation;
using BlockLayer.TestKit;
using Xunit;
using static BlockLayer.Libvirt.Tests.BlockJobs.BlockJobWorld;

namespace BlockLayer.Libvirt.Tests.BlockJobs;

/// <summary>Calls that meet a job at an unlucky moment, each moment held still.</summary>
public class BlockJobRaceTests
{
    private const string ToCopy = "<disk type='file'><driver name='qemu' type='qcow2'/><source file='/vm/copy.img'/></disk>";

    [Fact]
    public void An_abort_in_the_middle_of_a_pull_and_another_pull_that_goes_on_there() => Run(async world =>
    {
        DiskJob job = await world.Api.PullAsync(world.Domain, "vda");
        JobBreakpoint middle = JobBreakpoint.After(job.Job!, 4 * Unit);
        await middle.ReachedAsync();
        ValueTask abort = world.Api.AbortAsync(world.Domain, "vda");
        Assert.False(abort.IsCompleted);
        middle.Continue();
        await abort;
        Assert.Equal(["8 /vm/top.img Pull Canceled", "16 vda Pull Canceled"], world.Heard);
        Assert.Equal("top.img mid.img base.img", world.Describe());
        long copied = ((StreamJob)job.Job!).CopiedBytes;
        DiskJob again = await world.Api.PullAsync(world.Domain, "vda");
        Assert.Equal(BlockJobStatus.Completed, await world.EndAsync(again));
        Assert.Equal(12 * Unit, copied + ((StreamJob)again.Job!).CopiedBytes);
        await world.AssertContentAsync();
    });

    [Fact]
    public void A_pivot_that_comes_too_early_changes_nothing() => Run(async world =>
    {
        DiskJob job = await world.Api.CopyAsync(world.Domain, "vda", ToCopy);
        JobBreakpoint middle = JobBreakpoint.After(job.Job!, 0);
        await middle.ReachedAsync();
        Assert.Equal(-1, await world.Calls.BlockJobAbort(world.Domain, "vda", BlockJobAbortFlags.Pivot));
        Assert.Equal((LibvirtErrorCode.BlockCopyActive, "The job on the disk 'vda' is not ready to pivot."), (world.Connection.LastError.Code, world.Connection.LastError.Message));
        Assert.EndsWith("ready=no", world.Describe(), StringComparison.Ordinal);
        middle.Continue();
        Assert.Equal(BlockJobStatus.Completed, await world.EndAsync(job));
        Assert.Equal("copy.img", world.Describe());
    });

    [Theory]
    [InlineData("/vm/copy.img")]
    [InlineData("/vm/base.img")]
    public void A_pivot_that_fails_leaves_the_disk_where_it_was(string second) => Run(async world =>
    {
        bool isCopy = second == "/vm/copy.img";
        DiskJob job = isCopy
            ? await world.Api.CopyAsync(world.Domain, "vda", ToCopy)
            : await world.Api.CommitAsync(world.Domain, "vda", flags: BlockCommitFlags.Active | BlockCommitFlags.Delete);
        Assert.True(await job.WaitForReadyAsync());
        await world.WriteAsync(2, 9); // so that the second file has something to flush
        StorageBreakpoint full = world.Machine.Storage.Faults.Break(new FaultRule { Operations = StorageOperations.Flush, Path = second });
        ValueTask<int> pivot = world.Calls.BlockJobAbort(world.Domain, "vda", BlockJobAbortFlags.Pivot);
        await full.ReachedAsync();
        full.Fail(BlockErrorKind.Io);
        Assert.Equal((-1, LibvirtErrorCode.OperationFailed), (await pivot, world.Connection.LastError.Code));
        Assert.StartsWith("The job on the disk 'vda' failed while pivoting: ", world.Connection.LastError.Message, StringComparison.Ordinal);
        BlockJobEvent end = await job.Completion;
        Assert.Equal((BlockJobStatus.Failed, LibvirtErrorCode.SystemError), (end.Status, end.Error?.Code));
        Assert.Equal(["Failed: top.img mid.img base.img"], world.Seen[1..]);
        Assert.Equal(isCopy ? "base.img copy.img mid.img top.img" : "base.img mid.img top.img", world.Files());
        await world.WriteAsync(3, 9);
        await world.AssertContentAsync();
        if (!isCopy)
        {
            // The base takes no writes after that, and stays open: a stop says so.
            await Assert.ThrowsAsync<LibvirtException>(async () => await world.Connection.ShutOffAsync(world.Domain));
        }
    });

    [Fact]
    public void An_asynchronous_abort_returns_before_its_event() => Run(async world =>
    {
        DiskJob job = await world.Api.PullAsync(world.Domain, "vda");
        JobBreakpoint middle = JobBreakpoint.After(job.Job!, 4 * Unit);
        await middle.ReachedAsync();
        await world.Api.AbortAsync(world.Domain, "vda", BlockJobAbortFlags.Async);
        Assert.Empty(world.Heard);
        Assert.Equal(LibvirtErrorCode.OperationInvalid, await CodeOfAsync(async () =>
        {
            await world.Api.AbortAsync(world.Domain, "vda");
            return 0;
        }));
        Assert.Equal(1, world.Calls.GetBlockJobInfo(world.Domain, "vda", out _, 0));
        middle.Continue();
        Assert.Equal(BlockJobStatus.Canceled, (await job.Completion).Status);
        Assert.Equal(["8 /vm/top.img Pull Canceled", "16 vda Pull Canceled"], world.Heard);
        Assert.Equal(0, world.Calls.GetBlockJobInfo(world.Domain, "vda", out _, 0));
    });

    [Fact]
    public void An_abort_whose_caller_gives_up_waiting_aborts_all_the_same() => Run(async world =>
    {
        DiskJob job = await world.Api.PullAsync(world.Domain, "vda");
        JobBreakpoint middle = JobBreakpoint.After(job.Job!, 4 * Unit);
        await middle.ReachedAsync();
        using var stop = new CancellationTokenSource();
        ValueTask abort = world.Api.AbortAsync(world.Domain, "vda", cancellationToken: stop.Token);
        stop.Cancel();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await abort);
        middle.Continue();
        Assert.Equal(BlockJobStatus.Canceled, (await job.Completion).Status);
    });

    [Fact]
    public void Calls_that_come_while_a_job_is_being_started_wait_until_it_is() => Run(async world =>
    {
        StorageBreakpoint created = world.Machine.Storage.Faults.Break(new FaultRule { Operations = StorageOperations.Write, Path = "/vm/copy.img" });
        ValueTask<DiskJob> start = world.Api.CopyAsync(world.Domain, "vda", ToCopy);
        await created.ReachedAsync();
        BlockJobInfo info = world.Api.GetInfo(world.Domain, "vda")!.Value;
        Assert.Equal(new BlockJobInfo(BlockJobType.Copy, 0, 0, 1), info);
        ValueTask<DiskJob> second = world.Api.PullAsync(world.Domain, "vda");
        ValueTask abort = world.Api.AbortAsync(world.Domain, "vda");
        Assert.False(second.IsCompleted || abort.IsCompleted);
        created.Continue();
        DiskJob job = await start;
        Assert.Equal(LibvirtErrorCode.BlockCopyActive, await CodeOfAsync(() => second));
        await abort;
        Assert.Equal(BlockJobStatus.Canceled, (await job.Completion).Status);
    });

    [Fact]
    public void A_start_that_fails_leaves_the_disk_free_and_no_file_behind() => Run(async world =>
    {
        StorageBreakpoint created = world.Machine.Storage.Faults.Break(new FaultRule { Operations = StorageOperations.Write, Path = "/vm/copy.img" });
        ValueTask<DiskJob> start = world.Api.CopyAsync(world.Domain, "vda", ToCopy);
        await created.ReachedAsync();
        ValueTask abort = world.Api.AbortAsync(world.Domain, "vda");
        created.Fail(BlockErrorKind.NoSpace);
        Assert.Equal(LibvirtErrorCode.SystemError, await CodeOfAsync(() => start));
        Assert.Equal("No job runs on the disk 'vda'.", (await Assert.ThrowsAsync<LibvirtException>(async () => await abort)).Message);
        Assert.Empty(world.Heard);
        Assert.Equal("base.img mid.img top.img", world.Files());
        Assert.Equal(BlockJobStatus.Completed, await world.EndAsync(await world.Api.PullAsync(world.Domain, "vda")));
    });

    [Fact]
    public void A_job_that_ends_while_it_is_limited_has_no_limit() => Run(async world =>
    {
        DomainDisk disk = world.Disk;
        var job = new StubJob(BlockJobType.Pull);
        disk.Occupy(job);
        job.Asked = () => disk.Release(job); // on another thread, at this moment
        await world.Api.SetSpeedAsync(world.Domain, "vda", 1);
        Assert.Equal(1 << 20, job.BytesPerSecond);
        Assert.Equal(LibvirtErrorCode.InvalidArg, (await Assert.ThrowsAsync<LibvirtException>(async () => await world.Api.SetSpeedAsync(world.Domain, "vda", 1))).Code);
    });

    [Theory]
    [InlineData("pull")]
    [InlineData("copy ready")]
    [InlineData("deleting")]
    public void A_domain_that_stops_tells_the_end_of_its_jobs_first(string what) => Run(async world =>
    {
        StorageBreakpoint? held = null;
        DiskJob job;
        if (what == "deleting")
        {
            held = world.Machine.Storage.Faults.Break(new FaultRule { Operations = StorageOperations.Delete, Path = "/vm/mid.img" });
            job = await world.Api.CommitAsync(world.Domain, "vda", top: "vda[1]", flags: BlockCommitFlags.Delete);
            await held.ReachedAsync();
        }
        else
        {
            job = what == "pull" ? await world.Api.PullAsync(world.Domain, "vda", 1, BlockPullFlags.BandwidthBytes) : await world.Api.CopyAsync(world.Domain, "vda", ToCopy);
            Assert.Equal(what != "pull", what != "pull" && await job.WaitForReadyAsync());
        }

        Task stop = world.Connection.ShutOffAsync(world.Domain).AsTask();
        if (held is not null)
        {
            await world.Machine.PassAsync(TimeSpan.FromSeconds(1));
            Assert.False(stop.IsCompleted, "the domain stopped before its job was over");
            held.Continue();
        }

        await stop;
        string status = what == "deleting" ? "Completed" : "Canceled";
        Assert.Equal($"16 vda {job.Type} {status}", world.Heard[^1]);
        Assert.True(job.Completion.IsCompleted);
        Assert.Equal(DomainState.ShutOff, world.Domain.State);
    });

    [Fact]
    public void A_listener_that_throws_at_READY_fails_the_job_and_one_at_the_end_fails_whoever_awaits_it() => Run(async world =>
    {
        BlockJobStatus at = BlockJobStatus.Ready;
        BlockJobCallback failing = (_, _, _, status) =>
        {
            if (status == at)
            {
                throw new InvalidOperationException("mine");
            }
        };
        world.Connection.RegisterDomainEvent(world.Domain, DomainEventId.BlockJob2, failing);
        BlockJobEvent end = await (await world.Api.CopyAsync(world.Domain, "vda", ToCopy)).Completion;
        Assert.Equal((BlockJobStatus.Failed, LibvirtErrorCode.InternalError), (end.Status, end.Error?.Code));
        Assert.Equal("top.img mid.img base.img", world.Describe());
        at = BlockJobStatus.Completed;
        DiskJob pull = await world.Api.PullAsync(world.Domain, "vda");
        Assert.Equal("mine", (await Assert.ThrowsAsync<InvalidOperationException>(() => pull.Completion)).Message);
        Assert.Null(world.Disk.Job);
        Assert.Equal("top.img", world.Describe());
    });

    [Fact]
    public void The_event_of_a_job_that_has_completed_tells_what_went_wrong_behind_it() => Run(
        async world =>
        {
            BlockJobEvent end = await (await world.Api.PullAsync(world.Domain, "vda")).Completion;
            Assert.Equal((BlockJobStatus.Completed, $"/vm/mid.img: {FailingClose.Message}"), (end.Status, end.Error?.Message));
            Assert.Equal("top.img", world.Describe());
        },
        files: static machine => new HookedStorageProvider(machine.Storage, "/vm/mid.img", new FailingClose()));

    [Fact]
    public void What_is_thrown_at_an_event_that_comes_between_fails_no_job() => Run(async world =>
    {
        await world.CreateAsync("/vm/other.img");
        Domain other = await world.Connection.CreateAsync(LibvirtWorld.DomainXml("other", LibvirtWorld.DiskXml("vda", "/vm/other.img")));
        BlockJobCallback failing = (_, _, _, _) => throw new InvalidOperationException("mine");
        world.Connection.RegisterDomainEvent(other, DomainEventId.BlockJob2, failing);
        BlockJobCallback between = (_, _, _, _) => other.TellOfJob(other.FindDisk("vda"), BlockJobType.Pull, BlockJobStatus.Completed);
        world.Connection.RegisterDomainEvent(world.Domain, DomainEventId.BlockJob2, between);
        DiskJob copy = await world.Api.CopyAsync(world.Domain, "vda", ToCopy);
        Assert.Equal(BlockJobStatus.Completed, await world.EndAsync(copy));
        Assert.Equal(["16 vda Copy Ready", "16 vda Pull Completed", "16 vda Copy Completed", "16 vda Pull Completed"], world.Heard.Where(told => told.StartsWith("16", StringComparison.Ordinal)));
    });

    [Fact]
    public void A_job_whose_end_is_held_back_is_over_and_complete_when_it_was_told() => Run(async world =>
    {
        IDisposable held = world.Host.HoldEvents();
        DiskJob copy = await world.Api.CopyAsync(world.Domain, "vda", ToCopy);
        Assert.True(await copy.WaitForReadyAsync());
        await world.Api.AbortAsync(world.Domain, "vda", BlockJobAbortFlags.Pivot);
        Assert.Equal("copy.img", world.Describe());
        Assert.Null(world.Disk.Job);
        Assert.Empty(world.Heard);
        Assert.False(copy.Completion.IsCompleted);
        BlockJobCallback failing = (_, _, _, status) => throw new InvalidOperationException($"at {status}");
        world.Connection.RegisterDomainEvent(world.Domain, DomainEventId.BlockJob2, failing);
        held.Dispose();
        Assert.Equal("16 vda Copy Completed", world.Heard[^1]);
        Assert.Equal("at Ready", (await Assert.ThrowsAsync<InvalidOperationException>(() => copy.Completion)).Message);
    });

    [Fact]
    public void Whoever_hears_of_an_end_can_start_the_next_job_at_once() => Run(async world =>
    {
        var next = new TaskCompletionSource<DiskJob>();
        BlockJobCallback goOn = async (_, _, type, status) =>
        {
            if ((type, status) == (BlockJobType.Commit, BlockJobStatus.Completed))
            {
                next.SetResult(await world.Api.PullAsync(world.Domain, "vda"));
            }
        };
        world.Connection.RegisterDomainEvent(world.Domain, DomainEventId.BlockJob2, goOn);
        using DomainEventStream events = world.Connection.WatchEvents(world.Domain);
        await world.Api.CommitAsync(world.Domain, "vda", top: "vda[1]");
        await (await next.Task).Completion;
        events.Dispose();
        var told = new List<string>();
        await foreach (DomainEvent what in events)
        {
            var job = Assert.IsType<BlockJobEvent>(what);
            told.Add($"{job.Target} {job.Path} {job.Type} {job.Status}");
        }

        Assert.Equal(["vda /vm/top.img Commit Completed", "vda /vm/top.img Pull Completed"], told);
        Assert.Equal("top.img", world.Describe());
    });

    // Wherever it falls, an abort ends in one event that says what the chain is, and leaves the guest's data.
    [Fact]
    public void An_abort_at_any_moment_ends_in_one_event_that_is_true()
    {
        var outcomes = new SortedSet<string>(StringComparer.Ordinal);
        Seeds.Check($"{nameof(BlockJobRaceTests)}.{nameof(An_abort_at_any_moment_ends_in_one_event_that_is_true)}", 60, seed => Run(world => AbortSomewhereAsync(world, new Random((int)seed), outcomes), seed: seed));
        if (Environment.GetEnvironmentVariable("BLK_SEED") is null)
        {
            Assert.Equal(["Commit Canceled", "Commit Completed", "Copy Canceled", "Pull Canceled", "Pull Completed"], outcomes); // the moments reach all there is
        }
    }

    private static async Task AbortSomewhereAsync(BlockJobWorld world, Random random, SortedSet<string> outcomes)
    {
        DiskJob job = random.Next(3) switch
        {
            0 => await world.Api.PullAsync(world.Domain, "vda"),
            1 => await world.Api.CommitAsync(world.Domain, "vda", top: "vda[1]", flags: BlockCommitFlags.Delete),
            _ => await world.Api.CopyAsync(world.Domain, "vda", ToCopy),
        };
        await world.Machine.PassAsync(TimeSpan.FromMicroseconds(random.Next(20_000)));
        await world.WriteAsync(random.Next(Units), 9);
        int answer = await world.Calls.BlockJobAbort(world.Domain, "vda", random.Next(2) == 0 ? BlockJobAbortFlags.Async : BlockJobAbortFlags.None);
        BlockJobEvent end = await job.Completion;
        Assert.True(answer == 0 || (end.Status == BlockJobStatus.Completed && world.Connection.LastError.Code == LibvirtErrorCode.InvalidArg), $"{answer} {end}");
        string chain = (end.Type, end.Status) switch
        {
            (BlockJobType.Pull, BlockJobStatus.Completed) => "top.img",
            (BlockJobType.Commit, BlockJobStatus.Completed) => "top.img base.img",
            (_, BlockJobStatus.Canceled) => "top.img mid.img base.img",
            _ => "none",
        };
        Assert.Equal(chain, world.Describe());
        Assert.Single(world.Heard, told => told.StartsWith("16 ", StringComparison.Ordinal) && !told.EndsWith("Ready", StringComparison.Ordinal));
        await world.AssertContentAsync();
        outcomes.Add($"{end.Type} {end.Status}");
    }
}
