namespace BlockLayer.Jobs;

/// <summary>What a user can ask of a job. The names are those of QEMU's <c>JobVerb</c> (qapi/job.json).</summary>
public enum JobVerb
{
    /// <summary>End it; see <see cref="BlockJob.Cancel"/>.</summary>
    Cancel,

    /// <summary>Stop it between two steps.</summary>
    Pause,

    /// <summary>Let it go on.</summary>
    Resume,

    /// <summary>Change its <see cref="BlockJob.BytesPerSecond"/>.</summary>
    SetSpeed,

    /// <summary>End it well, now that it is ready.</summary>
    Complete,

    /// <summary>Make its result durable and visible.</summary>
    Finalize,

    /// <summary>Forget it.</summary>
    Dismiss,

    /// <summary>Change one of its options.</summary>
    Change,
}
