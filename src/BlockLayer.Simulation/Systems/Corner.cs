namespace BlockLayer.Simulation;

/// <summary>What only some runs come to, and all together have to: each is counted, so that one sees that the seeds have been there.</summary>
public enum Corner
{
    /// <summary>A chain began with a qcow2 image whose guest data lies in a second file.</summary>
    DataFileImages,

    /// <summary>A chain began with an image that is encrypted.</summary>
    EncryptedImages,

    /// <summary>A chain began with a QED image.</summary>
    QedImages,

    /// <summary>A chain began with an add-cow image.</summary>
    AddCowImages,

    /// <summary>A user paused a job.</summary>
    Pauses,

    /// <summary>A user changed the limit of a job that ran.</summary>
    LimitChanges,

    /// <summary>A copy in the background began to hold guests' writes until both sides have them.</summary>
    ModeChanges,

    /// <summary>An error had stopped a job, and a user let it go on.</summary>
    Resumptions,

    /// <summary>A job that an error had stopped completed all the same.</summary>
    LateSuccesses,

    /// <summary>A job waited until it was told to finalize.</summary>
    Finalizations,

    /// <summary>A job that was over stayed until it was dismissed.</summary>
    Dismissals,

    /// <summary>A target had no room, or failed: only the job knew, whichever way guests' writes went.</summary>
    TargetFaults,

    /// <summary>Jobs of several disks completed together.</summary>
    CompletedTransactions,

    /// <summary>One job of several disks was cancelled, and so were all.</summary>
    CancelledTransactions,

    /// <summary>One job of several disks failed, and the others were cancelled.</summary>
    FailedTransactions,

    /// <summary>A snapshot of several disks was taken at one moment.</summary>
    SharedSnapshots,

    /// <summary>A snapshot was taken while jobs were at work.</summary>
    SnapshotsBesideJobs,

    /// <summary>A disk grew while jobs were at work on it.</summary>
    ResizesBesideJobs,

    /// <summary>An image was committed into one that was shorter.</summary>
    CommitsIntoShorter,

    /// <summary>A disk went on with an overlay that took all new writes.</summary>
    OverlayMirrors,

    /// <summary>Files that a job had told to be of no use any more were deleted.</summary>
    DeletedFiles,
}
