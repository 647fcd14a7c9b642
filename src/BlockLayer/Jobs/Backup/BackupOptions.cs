using BlockLayer.Filters;

namespace BlockLayer.Jobs;

/// <summary>How a disk is saved.</summary>
public sealed record BackupOptions : JobOptions
{
    /// <summary>A full backup, called <c>backup</c>.</summary>
    public BackupOptions()
        : base("backup")
    {
    }

    /// <summary>What is saved.</summary>
    public BackupSync Sync { get; init; } = BackupSync.Full;

    /// <summary>The bitmap of the newest image that says what is to be saved; with <see cref="BackupSync.Incremental"/>, and only there.</summary>
    public string? Bitmap { get; init; }

    /// <summary>When the bitmap is brought up to date.</summary>
    public BitmapUpdate BitmapUpdate { get; init; } = BitmapUpdate.OnSuccess;

    /// <summary>What happens when the old content cannot be saved before a guest's write.</summary>
    public CopyBeforeWritePolicy OnCopyBeforeWriteError { get; init; } = CopyBeforeWritePolicy.BreakGuestWrite;

    /// <summary>
    /// How long a guest's write waits until its old content is saved, then that has failed, as <see cref="OnCopyBeforeWriteError"/> says: at most 49 days; 0: as long as it takes. What takes longer goes
    /// on behind it; the job waits for that in its end, and then guests do too.
    /// </summary>
    public TimeSpan CopyBeforeWriteTimeout { get; init; }

    /// <summary>What to do when writing to the target fails; <see cref="JobOptions.OnError"/> is about reading the disk.</summary>
    public JobErrorPolicy OnTargetError { get; init; } = JobErrorPolicy.Report;

    /// <summary>The job starts its next step only while fewer guest requests than this are waiting, but at least one step every 100 ms.</summary>
    public int GuestsFirst { get; init; } = 1;
}
