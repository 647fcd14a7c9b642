namespace BlockLayer.Jobs;

/// <summary>What every job can be told.</summary>
public abstract record JobOptions
{
    private protected JobOptions(string id) => Id = id;

    /// <summary>What the job is called; unique among the jobs that its user tells apart.</summary>
    public string Id { get; init; }

    /// <summary>The most bytes a second that are copied; 0 is no limit.</summary>
    public long BytesPerSecond { get; init; }

    /// <summary>What to do when a read or a write fails.</summary>
    public JobErrorPolicy OnError { get; init; } = JobErrorPolicy.Report;

    /// <summary>True: the result is made durable and visible as soon as the work is done. False: the job waits in <see cref="JobState.Pending"/> for <see cref="BlockJob.FinalizeJob"/>.</summary>
    public bool AutoFinalize { get; init; } = true;

    /// <summary>True: a job that is over goes on to <see cref="JobState.Null"/>. False: it stays <see cref="JobState.Concluded"/> until <see cref="BlockJob.Dismiss"/>.</summary>
    public bool AutoDismiss { get; init; } = true;

    /// <summary>Hears every event from the first on, as <see cref="BlockJob.Notified"/> does: for who has the job made and started for him, and would come too late for that.</summary>
    internal Action<BlockJob, JobEvent>? Notify { get; init; }
}
