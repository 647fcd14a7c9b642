namespace BlockLayer.Jobs;

/// <summary>Where a job is in its life.</summary>
/// <remarks>
/// <code>
///   Created --> Running &lt;--> Paused
///      |           |  \        |
///      |           v   \       v
///      |      Finishing -'-> Aborting      (Finishing: the point of no return; Aborting: failed or cancelled, putting things back)
///      v           v            v
///      '-------> Concluded &lt;---'
/// </code>
/// </remarks>
public enum JobState
{
    /// <summary>Made, not started.</summary>
    Created,

    /// <summary>At work.</summary>
    Running,

    /// <summary>Stopped between two steps, by a user or by an error; nothing is in flight.</summary>
    Paused,

    /// <summary>Making its result durable and visible. It cannot be cancelled any more.</summary>
    Finishing,

    /// <summary>Failed or cancelled, and putting back what it had changed in the graph.</summary>
    Aborting,

    /// <summary>Over.</summary>
    Concluded,
}
