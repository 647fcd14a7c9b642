using System.Text.Json;
using BlockLayer.Errors;
using BlockLayer.Filters;

namespace BlockLayer.Jobs;

/// <summary>Jobs and their events as QMP tells them: the names and fields of qapi/job.json and qapi/block-core.json, for logs and for programs that read QEMU's.</summary>
public static class QmpText
{
    /// <summary>What QMP calls an event: <c>JOB_STATUS_CHANGE</c>, <c>BLOCK_JOB_COMPLETED</c>, ...</summary>
    public static string NameOf(JobEvent what) => what switch
    {
        JobStateChanged => "JOB_STATUS_CHANGE",
        JobReady => "BLOCK_JOB_READY",
        JobPending => "BLOCK_JOB_PENDING",
        JobErrorOccurred => "BLOCK_JOB_ERROR",
        JobEnded { Result.Outcome: JobOutcome.Cancelled } => "BLOCK_JOB_CANCELLED",
        JobEnded => "BLOCK_JOB_COMPLETED",
        _ => throw new ArgumentException($"{what} has no name in QMP.", nameof(what)),
    };

    /// <summary>Writes an event as an object with the members <c>event</c> and <c>data</c>. When it happened is not in it.</summary>
    public static void WriteEvent(Utf8JsonWriter writer, BlockJob job, JobEvent what)
    {
        writer.WriteStartObject();
        writer.WriteString("event", NameOf(what));
        writer.WriteStartObject("data");
        switch (what)
        {
            case JobStateChanged changed:
                writer.WriteString("id", job.Id);
                writer.WriteString("status", NameOf(changed.State));
                break;
            case JobReady ready:
                WriteProgress(writer, job, ready.Progress, ready.BytesPerSecond);
                break;
            case JobPending:
                writer.WriteString("type", job.Kind);
                writer.WriteString("id", job.Id);
                break;
            case JobErrorOccurred error:
                writer.WriteString("device", job.Id);
                writer.WriteString("operation", error.Step == CopyStep.Read ? "read" : "write");
                writer.WriteString("action", error.Action.ToString().ToLowerInvariant());
                break;
            case JobEnded ended:
                WriteProgress(writer, job, ended.Result.Progress, ended.BytesPerSecond);
                WriteError(writer, ended.Result.Outcome == JobOutcome.Failed ? ended.Result.Error : null);
                break;
        }

        writer.WriteEndObject();
        writer.WriteEndObject();
    }

    /// <summary>Writes a job as <c>query-block-jobs</c> answers it.</summary>
    public static void WriteBlockJobInfo(Utf8JsonWriter writer, JobInfo job)
    {
        writer.WriteStartObject();
        writer.WriteString("type", job.Kind);
        writer.WriteString("device", job.Id);
        writer.WriteNumber("len", job.Progress.End);
        writer.WriteNumber("offset", job.Progress.Current);
        writer.WriteBoolean("busy", job.IsBusy);
        writer.WriteBoolean("paused", job.IsPaused);
        writer.WriteNumber("speed", job.BytesPerSecond);
        writer.WriteString("io-status", job.IoStatus.ToString().ToLowerInvariant());
        writer.WriteBoolean("ready", job.IsReady);
        writer.WriteString("status", NameOf(job.State));
        writer.WriteBoolean("auto-finalize", job.AutoFinalize);
        writer.WriteBoolean("auto-dismiss", job.AutoDismiss);
        WriteError(writer, job.Error);
        if (job.IsActivelySynced is { } isSynced)
        {
            writer.WriteBoolean("actively-synced", isSynced);
        }

        writer.WriteEndObject();
    }

    /// <summary>Writes a job as <c>query-jobs</c> answers it.</summary>
    public static void WriteJobInfo(Utf8JsonWriter writer, JobInfo job)
    {
        writer.WriteStartObject();
        writer.WriteString("id", job.Id);
        writer.WriteString("type", job.Kind);
        writer.WriteString("status", NameOf(job.State));
        writer.WriteNumber("current-progress", job.Progress.Current);
        writer.WriteNumber("total-progress", job.Progress.End);
        WriteError(writer, job.Error);
        writer.WriteEndObject();
    }

    private static void WriteProgress(Utf8JsonWriter writer, BlockJob job, JobProgress progress, long speed)
    {
        writer.WriteString("type", job.Kind);
        writer.WriteString("device", job.Id);
        writer.WriteNumber("len", progress.End);
        writer.WriteNumber("offset", progress.Current);
        writer.WriteNumber("speed", speed);
    }

    private static void WriteError(Utf8JsonWriter writer, Exception? error)
    {
        if (error is not null)
        {
            writer.WriteString("error", error switch
            {
                BlockLayerException { Kind: BlockErrorKind.NoSpace } => "No space left on device",
                OperationCanceledException => "Operation canceled",
                _ => error.Message,
            });
        }
    }

    private static string NameOf(JobState state) => state.ToString().ToLowerInvariant();
}
