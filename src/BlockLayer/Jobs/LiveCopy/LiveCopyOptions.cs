namespace BlockLayer.Jobs;

/// <summary>How a job makes a target equal to a disk that guests go on using.</summary>
/// <remarks>
/// <para><see cref="JobOptions.OnError"/> is for reading the source. Where an error is ignored, what can be copied is, and the job then fails instead of becoming ready.</para>
/// </remarks>
public abstract record LiveCopyOptions : JobOptions
{
    private protected LiveCopyOptions(string id)
        : base(id)
    {
    }

    /// <summary>How guests' writes reach the target. From <see cref="BlockJob.Complete"/> on they go to both sides in any case.</summary>
    public MirrorCopyMode CopyMode { get; init; }

    /// <summary>
    /// Bytes that are copied again when a guest writes one of them: a power of two, from 4 KiB to 64 MiB. Null: the larger of 64 KiB and a cluster of either side. Where the
    /// target becomes an overlay of the disk, it is at least a cluster of the target.
    /// </summary>
    public int? Granularity { get; init; }

    /// <summary>What to do when the target cannot be written; null: as for the source. A guest never sees such an error.</summary>
    public JobErrorPolicy? OnTargetError { get; init; }

    /// <summary>
    /// Called when the target is durable and equal, right before the disk is changed over to it, with guests held back: the moment to note, for after a crash, that from here
    /// on the target is the disk. It must not use the disk. What it throws fails the job and leaves the disk where it is. Null: nothing is called.
    /// </summary>
    /// <remarks>The end of the job is too late for that: guests go on before it is told, and what they write and flush then is on the target alone.</remarks>
    public Func<ValueTask>? BeforeSwitch { get; init; }

    /// <summary>The job starts its next step only while fewer guest requests than this are waiting, but at least one step every 100 ms.</summary>
    public int GuestsFirst { get; init; } = 1;
}
