namespace BlockLayer.Jobs;

/// <summary>Where a job is in its life. The names are those of QMP's <c>JobStatus</c> (QEMU, qapi/job.json); <see cref="JobTransitions"/> says what may follow what.</summary>
/// <remarks>
/// <code>
///   Created --> Running &lt;--> Paused       at work, and parked between two steps
///      |         |  |
///      |         |  '--> Ready &lt;--> Standby  everything is copied and kept equal; parked
///      |         v         |
///      |       Waiting &lt;---'                 its own part is done; other members of its transaction still work
///      |         v
///      |       Pending                          all members are done; what follows makes the result durable and visible
///      v         v
///   Aborting --> Concluded --> Null             (Aborting: from every state before Concluded, when failed or cancelled)
/// </code>
/// </remarks>
public enum JobState
{
    /// <summary>No state; no job is ever in it.</summary>
    Undefined,

    /// <summary>Made, not started.</summary>
    Created,

    /// <summary>At work.</summary>
    Running,

    /// <summary>Stopped between two steps, by a user or by an error; nothing is in flight.</summary>
    Paused,

    /// <summary>At work, and ready to be completed: source and target are kept equal.</summary>
    Ready,

    /// <summary><see cref="Ready"/>, and stopped between two steps.</summary>
    Standby,

    /// <summary>Its own work is done; it waits for the other jobs of its transaction.</summary>
    Waiting,

    /// <summary>Every job of the transaction has done its work. They are made durable and visible next, at once or when somebody says so.</summary>
    Pending,

    /// <summary>Failed or cancelled, and putting back what it had changed in the graph.</summary>
    Aborting,

    /// <summary>Over. It stays known until it is dismissed.</summary>
    Concluded,

    /// <summary>Dismissed.</summary>
    Null,
}
