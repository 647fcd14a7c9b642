using System.Text;
using System.Text.Json;
using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Jobs;
using BlockLayer.Simulation;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Jobs;

/// <summary>Events and jobs in QMP's words, as the examples of QEMU's QAPI documents have them.</summary>
public class QmpTextTests
{
    private static readonly JobProgress s_half = new(50, 100);

    /// <summary>An event and its text.</summary>
    public static TheoryData<JobEvent, string> Events() => new()
    {
        { new JobStateChanged(JobState.Standby), """{"event":"JOB_STATUS_CHANGE","data":{"id":"a","status":"standby"}}""" },
        { new JobReady(s_half, 7), """{"event":"BLOCK_JOB_READY","data":{"type":"scripted","device":"a","len":100,"offset":50,"speed":7}}""" },
        { new JobPending(), """{"event":"BLOCK_JOB_PENDING","data":{"type":"scripted","id":"a"}}""" },
        { new JobErrorOccurred(CopyStep.Read, JobErrorAction.Stop, new IOException()), """{"event":"BLOCK_JOB_ERROR","data":{"device":"a","operation":"read","action":"stop"}}""" },
        { new JobErrorOccurred(CopyStep.Write, JobErrorAction.Ignore, new IOException()), """{"event":"BLOCK_JOB_ERROR","data":{"device":"a","operation":"write","action":"ignore"}}""" },
        {
            new JobEnded(new JobResult(JobOutcome.Completed, s_half, null), 0),
            """{"event":"BLOCK_JOB_COMPLETED","data":{"type":"scripted","device":"a","len":100,"offset":50,"speed":0}}"""
        },
        {
            new JobEnded(new JobResult(JobOutcome.Failed, s_half, new BlockLayerException(BlockErrorKind.NoSpace, "full")), 0),
            """{"event":"BLOCK_JOB_COMPLETED","data":{"type":"scripted","device":"a","len":100,"offset":50,"speed":0,"error":"No space left on device"}}"""
        },
        {
            new JobEnded(new JobResult(JobOutcome.Cancelled, s_half, null), 0),
            """{"event":"BLOCK_JOB_CANCELLED","data":{"type":"scripted","device":"a","len":100,"offset":50,"speed":0}}"""
        },
    };

    [Theory]
    [MemberData(nameof(Events))]
    public void An_event_reads_as_in_QMP(JobEvent what, string expected)
    {
        var job = new ScriptedJob("a", TestEnvironment.Of(new SimulationScheduler(1)));
        Assert.Equal(expected, Written(writer => QmpText.WriteEvent(writer, job, what)));
    }

    [Fact]
    public void A_job_reads_as_in_QMP()
    {
        var scheduler = new SimulationScheduler(1);
        var job = new ScriptedJob("a", TestEnvironment.Of(scheduler), new ScriptedJobOptions { BytesPerSecond = 9, AutoDismiss = false, FailsAt = "work" });
        Assert.Equal(
            """{"type":"scripted","device":"a","len":100,"offset":0,"busy":false,"paused":false,"speed":9,"io-status":"ok","ready":false,"status":"created","auto-finalize":true,"auto-dismiss":false}""",
            Written(writer => QmpText.WriteBlockJobInfo(writer, job.GetInfo())));
        scheduler.Run(async () =>
        {
            await job.StartAsync();
            await job.Completion;
        });
        Assert.Equal(
            """{"id":"a","type":"scripted","status":"concluded","current-progress":0,"total-progress":100,"error":"work fails"}""",
            Written(writer => QmpText.WriteJobInfo(writer, job.GetInfo())));
    }

    // QEMU: qapi/block-core.json, BlockJobInfoMirror. An active commit is a mirror inside, and does not tell it.
    [Fact]
    public void A_mirror_tells_whether_both_sides_are_kept_equal()
    {
        var disk = new MirrorFixture();
        disk.Run(async () =>
        {
            MirrorJob job = await disk.StartReadyAsync();
            Assert.EndsWith(""","status":"ready","auto-finalize":true,"auto-dismiss":true,"actively-synced":false}""", Told(job), StringComparison.Ordinal);
            job.ChangeCopyMode(MirrorCopyMode.WriteBlocking);
            await disk.UntilAsync(() => job.IsActivelySynced);
            Assert.EndsWith(""","actively-synced":true}""", Told(job), StringComparison.Ordinal);
            disk.TargetSteps.FailWhen(static (step, _) => step is OverlayStep.Write or OverlayStep.Store ? BlockErrorKind.Io : null);
            await disk.WriteAsync(unit: 3, writer: 7);
            Assert.EndsWith(""","actively-synced":false}""", Told(job), StringComparison.Ordinal);
            await job.Completion;
        });

        static string Told(BlockJob job) => Written(writer => QmpText.WriteBlockJobInfo(writer, job.GetInfo()));
    }

    [Fact]
    public void A_job_that_was_cancelled_says_so_while_it_is_known()
    {
        var job = new ScriptedJob("a", TestEnvironment.Of(new SimulationScheduler(1)), new ScriptedJobOptions { AutoDismiss = false });
        job.Cancel();
        Assert.Equal(
            """{"id":"a","type":"scripted","status":"concluded","current-progress":0,"total-progress":100,"error":"Operation canceled"}""",
            Written(writer => QmpText.WriteJobInfo(writer, job.GetInfo())));
    }

    private static string Written(Action<Utf8JsonWriter> write)
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream))
        {
            write(writer);
        }

        return Encoding.UTF8.GetString(stream.ToArray());
    }
}
