namespace BlockLayer.Jobs;

/// <summary>What a job is doing, at one moment. The fields are those of QMP's <c>query-block-jobs</c>.</summary>
/// <param name="Id">What it is called.</param>
/// <param name="Kind">What it does: <c>stream</c>, <c>commit</c>, ...</param>
/// <param name="State">Where it is in its life.</param>
/// <param name="Progress">How far it is, in bytes.</param>
/// <param name="BytesPerSecond">Its limit; 0 is none.</param>
/// <param name="IsBusy">True while it is at work, also where it sleeps for its limit; false while it is parked or waits for others.</param>
/// <param name="IsPaused">True once a user or an error wants it to pause, also before it has stopped.</param>
/// <param name="IsReady">True once it can be completed.</param>
/// <param name="IoStatus">Whether an error has stopped it.</param>
/// <param name="AutoFinalize">Whether it is finalized without being told.</param>
/// <param name="AutoDismiss">Whether it is dismissed without being told.</param>
/// <param name="Error">Why it failed; an <see cref="OperationCanceledException"/> once it has ended because somebody cancelled it; else null.</param>
public sealed record JobInfo(
    string Id,
    string Kind,
    JobState State,
    JobProgress Progress,
    long BytesPerSecond,
    bool IsBusy,
    bool IsPaused,
    bool IsReady,
    JobIoStatus IoStatus,
    bool AutoFinalize,
    bool AutoDismiss,
    Exception? Error)
{
    /// <summary>Of a mirror: whether guests' writes go to both sides and nothing is lacking in the target; null for the other kinds.</summary>
    public bool? IsActivelySynced { get; init; }
}
