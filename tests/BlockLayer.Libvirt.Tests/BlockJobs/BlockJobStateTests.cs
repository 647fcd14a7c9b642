using BlockLayer.Jobs;
using BlockLayer.Primitives;
using BlockLayer.Simulation;
using Xunit;
using static BlockLayer.Libvirt.Tests.BlockJobs.BlockJobWorld;

namespace BlockLayer.Libvirt.Tests.BlockJobs;

/// <summary>What each call answers while a job is in each of its stages, and what becomes of the job then.</summary>
public class BlockJobStateTests
{
    private const LibvirtErrorCode Ok = LibvirtErrorCode.Ok, Invalid = LibvirtErrorCode.OperationInvalid, NoJob = LibvirtErrorCode.InvalidArg;
    private const LibvirtErrorCode Other = LibvirtErrorCode.OperationUnsupported, TwoPhase = LibvirtErrorCode.BlockCopyActive;

    private const string ToCopy = "<disk type='file'><driver name='qemu' type='qcow2'/><source file='/vm/copy.img'/></disk>";

    private static readonly Dictionary<string, Func<BlockJobWorld, ValueTask>> s_calls = new()
    {
        ["pull"] = async world => await world.Api.PullAsync(world.Domain, "vda"),
        ["rebase"] = async world => await world.Api.RebaseAsync(world.Domain, "vda", "vda[1]"),
        ["rebase COPY"] = async world => await world.Api.RebaseAsync(world.Domain, "vda", "/vm/other.img", 0, BlockRebaseFlags.Copy),
        ["copy"] = async world => await world.Api.CopyAsync(world.Domain, "vda", ToCopy.Replace("copy", "other", StringComparison.Ordinal)),
        ["commit"] = async world => await world.Api.CommitAsync(world.Domain, "vda", top: "vda[1]"),
        ["commit ACTIVE"] = async world => await world.Api.CommitAsync(world.Domain, "vda", flags: BlockCommitFlags.Active),
        ["abort"] = world => world.Api.AbortAsync(world.Domain, "vda"),
        ["abort ASYNC"] = world => world.Api.AbortAsync(world.Domain, "vda", BlockJobAbortFlags.Async),
        ["abort PIVOT"] = world => world.Api.AbortAsync(world.Domain, "vda", BlockJobAbortFlags.Pivot),
        ["abort ASYNC|PIVOT"] = world => world.Api.AbortAsync(world.Domain, "vda", BlockJobAbortFlags.Async | BlockJobAbortFlags.Pivot),
        ["speed"] = world => world.Api.SetSpeedAsync(world.Domain, "vda", 1),
    };

    // Per stage: the code of each call that starts a job; abort and abort ASYNC; abort PIVOT with and without ASYNC; speed; and whether there is a job to be described.
    private static readonly Dictionary<string, Expected> s_stages = new()
    {
        ["no job"] = new(Ok, NoJob, NoJob, NoJob, HasJob: false),
        ["pull running"] = new(Other, Ok, Invalid, Ok, After: "Canceled"),
        ["commit running"] = new(Other, Ok, Invalid, Ok, After: "Canceled"),
        ["copy running"] = new(TwoPhase, Ok, TwoPhase, Ok, After: "Canceled"),
        ["active commit running"] = new(TwoPhase, Ok, TwoPhase, Ok, After: "Canceled"),
        ["copy ready"] = new(TwoPhase, Ok, Ok, Ok, After: "Canceled"),
        ["active commit ready"] = new(TwoPhase, Ok, Ok, Ok, After: "Canceled"),
        ["copy pivoting"] = new(TwoPhase, Invalid, Invalid, Invalid),
        ["copy aborting"] = new(TwoPhase, Invalid, Invalid, Invalid),
        ["active commit pivoting"] = new(TwoPhase, Invalid, Invalid, Invalid),
        ["pull finalizing"] = new(Other, Ok, Invalid, Invalid, After: "Completed"),
        ["commit finalizing"] = new(Other, Ok, Invalid, Invalid, After: "Completed"),
        ["shut off"] = new(Invalid, Invalid, Invalid, Invalid, HasJob: false),
    };

    public static TheoryData<string> Stages => [.. s_stages.Keys];

    [Theory]
    [MemberData(nameof(Stages))]
    public void Each_call_answers_what_libvirt_does(string stage)
    {
        foreach ((string name, Func<BlockJobWorld, ValueTask> call) in s_calls)
        {
            Expected expected = s_stages[stage];
            LibvirtErrorCode code = name switch
            {
                "abort" or "abort ASYNC" => expected.Abort,
                "abort PIVOT" or "abort ASYNC|PIVOT" => expected.Pivot,
                "speed" => expected.Speed,
                _ => expected.Start,
            };
            Run(
                async world =>
                {
                    StorageBreakpoint? held = await EnterAsync(world, stage);
                    DiskJob? before = world.Domain.State == DomainState.Running ? world.Disk.Job as DiskJob : null;
                    ValueTask<LibvirtErrorCode> answer = AnswerAsync(world, call);
                    held?.Continue();
                    Assert.Equal((name, code), (name, await answer));
                    await AssertEndAsync(world, before, name, expected);
                },
                stage == "shut off" ? DomainLifetime.Persistent : DomainLifetime.Transient);
        }
    }

    [Theory]
    [MemberData(nameof(Stages))]
    public void A_job_is_described_in_every_stage(string stage) => Run(
        async world =>
        {
            StorageBreakpoint? held = await EnterAsync(world, stage);
            int answer = world.Calls.GetBlockJobInfo(world.Domain, "vda", out BlockJobInfo info, BlockJobInfoFlags.None);
            Assert.Equal(stage == "shut off" ? -1 : s_stages[stage].HasJob ? 1 : 0, answer);
            if (answer < 1)
            {
                Assert.Equal(default, info);
            }
            else
            {
                Assert.StartsWith(string.Concat(stage.Split(' ')[..^1]), info.Type.ToString(), StringComparison.OrdinalIgnoreCase);
                bool isSecondPhase = info.Type is BlockJobType.Copy or BlockJobType.ActiveCommit && !stage.EndsWith("running", StringComparison.Ordinal);
                Assert.Equal(isSecondPhase, info.Cur == info.End);
                if (stage.EndsWith("finalizing", StringComparison.Ordinal))
                {
                    Assert.Equal(info.End - 1, info.Cur); // all is counted and nothing is durable: not to be taken for done
                }
            }

            string mirror = world.Domain.State == DomainState.Running && world.Describe().Split("ready=") is [_, { } ready] ? ready : "none";
            Assert.Equal(
                stage switch
                {
                    "copy running" or "active commit running" => "no",
                    "copy ready" or "active commit ready" => "yes",
                    "copy pivoting" or "active commit pivoting" => "pivot",
                    "copy aborting" => "abort",
                    _ => "none",
                },
                mirror);
            held?.Continue();
            if (world.Domain.State == DomainState.Running && world.Disk.Job is DiskJob job && held is not null)
            {
                await job.Completion;
            }
        },
        stage == "shut off" ? DomainLifetime.Persistent : DomainLifetime.Transient);

    [Fact]
    public void A_read_only_connection_may_only_look() => Run(async world =>
    {
        await EnterAsync(world, "copy ready");
        using LibvirtConnection reader = world.Host.Connect(ConnectionAccess.ReadOnly);
        var calls = new BlockJobCalls(reader);
        foreach (string disk in new[] { "vda", "no such disk" })
        {
            Func<ValueTask<int>>[] all =
            [
                () => calls.BlockPull(world.Domain, disk, 0, 0),
                () => calls.BlockRebase(world.Domain, disk, null, 0, 0),
                () => calls.BlockCopy(world.Domain, disk, ToCopy, null, 0),
                () => calls.BlockCommit(world.Domain, disk, null, null, 0, 0),
                () => calls.BlockJobAbort(world.Domain, disk, BlockJobAbortFlags.Pivot),
                () => calls.BlockJobSetSpeed(world.Domain, disk, 0, 0),
            ];
            foreach (Func<ValueTask<int>> call in all)
            {
                Assert.Equal((-1, LibvirtErrorCode.OperationDenied), (await call(), reader.LastError.Code));
            }
        }

        Assert.Equal((1, LibvirtErrorCode.Ok), (calls.GetBlockJobInfo(world.Domain, "vda", out BlockJobInfo info, 0), reader.LastError.Code));
        Assert.Equal(BlockJobType.Copy, info.Type);
        Assert.Equal((-1, LibvirtErrorCode.InvalidArg), (calls.GetBlockJobInfo(world.Domain, null, out info, 0), reader.LastError.Code));
        Assert.Equal(default, info);
    });

    [Fact]
    public void A_copy_of_a_disk_without_content_is_described_as_one_of_one() => Run(async world =>
    {
        await using (await Images.Disk.CreateAsync("/vm/empty.img", new Images.NewImage { Format = "qcow2", Length = 0 }, world.Machine.As("qcow2")))
        {
        }

        Domain domain = await world.Connection.CreateAsync(LibvirtWorld.DomainXml("empty", LibvirtWorld.DiskXml("vda", "/vm/empty.img")));
        DiskJob job = await world.Api.CopyAsync(domain, "vda", ToCopy);
        Assert.True(await job.WaitForReadyAsync());
        BlockJobInfo info = world.Api.GetInfo(domain, "vda")!.Value;
        Assert.Equal((1UL, 1UL), (info.Cur, info.End));
    });

    private static async ValueTask<LibvirtErrorCode> AnswerAsync(BlockJobWorld world, Func<BlockJobWorld, ValueTask> call)
        => await CodeOfAsync(async () =>
        {
            await call(world);
            return true;
        });

    private static async Task AssertEndAsync(BlockJobWorld world, DiskJob? before, string call, Expected expected)
    {
        if (before is null)
        {
            return;
        }

        if (call.StartsWith("abort", StringComparison.Ordinal) && (call.Contains("PIVOT", StringComparison.Ordinal) ? expected.Pivot : expected.Abort) == Ok)
        {
            Assert.True(call.Contains("ASYNC", StringComparison.Ordinal) || before.Completion.IsCompleted, $"{call} returned before the job was over");
            string end = call.Contains("PIVOT", StringComparison.Ordinal) ? "Completed" : expected.After!;
            Assert.Equal(end, (await before.Completion).Status.ToString());
            Assert.Equal([$"8 {world.Disk.Source!.Path} {before.Type} {end}", $"16 vda {before.Type} {end}"], world.Heard.TakeLast(2));
        }
        else if (world.Heard.Count == 0 || before.IsReady)
        {
            Assert.Same(before.Completion.IsCompleted ? null : before, world.Disk.Job); // refused, and the job is what it was
        }

        await world.AssertContentAsync();
    }

    // Brings a job into a stage; where storage is held for that, the result lets it go.
    private static async Task<StorageBreakpoint?> EnterAsync(BlockJobWorld world, string stage)
    {
        string[] words = stage.Split(' ');
        (string kind, string where) = (string.Join(' ', words[..^1]), words[^1]);
        if (stage == "shut off")
        {
            await world.Connection.ShutOffAsync(world.Domain);
            return null;
        }

        if (stage == "no job")
        {
            return null;
        }

        ulong speed = where == "running" ? 1UL : 0;
        StorageBreakpoint? held = null;
        if (where == "finalizing")
        {
            held = world.Machine.Storage.Faults.Break(new FaultRule { Operations = StorageOperations.Write, Path = "/vm/top.img", Range = new ByteRange(0, 512) });
        }

        DiskJob job = kind switch
        {
            "pull" => await world.Api.PullAsync(world.Domain, "vda", speed, BlockPullFlags.BandwidthBytes),
            "commit" => await world.Api.CommitAsync(world.Domain, "vda", null, "vda[1]", speed, BlockCommitFlags.BandwidthBytes),
            "active commit" => await world.Api.CommitAsync(world.Domain, "vda", null, null, speed, BlockCommitFlags.Active | BlockCommitFlags.BandwidthBytes),
            _ => await world.Api.CopyAsync(world.Domain, "vda", ToCopy, new CopyParameters { Bandwidth = speed }),
        };
        switch (where)
        {
            case "running":
                await world.Machine.PassAsync(TimeSpan.FromSeconds(1));
                Assert.Equal(JobState.Running, job.Job!.State);
                return null;
            case "finalizing":
                await held!.ReachedAsync();
                Assert.Equal(JobState.Pending, job.Job!.State);
                return held;
            case "ready":
                Assert.True(await job.WaitForReadyAsync());
                return null;
        }

        Assert.True(await job.WaitForReadyAsync());
        await world.WriteAsync(2, 9); // so that the second file has something to flush
        held = world.Machine.Storage.Faults.Break(new FaultRule { Operations = StorageOperations.Flush, Path = kind == "copy" ? "/vm/copy.img" : "/vm/base.img" });
        await world.Api.AbortAsync(world.Domain, "vda", BlockJobAbortFlags.Async | (where == "pivoting" ? BlockJobAbortFlags.Pivot : BlockJobAbortFlags.None));
        await held.ReachedAsync();
        Assert.Equal(JobState.Pending, job.Job!.State);
        return held;
    }

    private sealed record Expected(LibvirtErrorCode Start, LibvirtErrorCode Abort, LibvirtErrorCode Pivot, LibvirtErrorCode Speed, bool HasJob = true, string? After = null);
}
