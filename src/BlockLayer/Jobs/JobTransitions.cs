namespace BlockLayer.Jobs;

/// <summary>Which state of a job may follow which; as QEMU's job.c has it in its state transition table.</summary>
public static class JobTransitions
{
    /// <summary>True when a job in <paramref name="from"/> may go to <paramref name="to"/> next.</summary>
    public static bool IsAllowed(JobState from, JobState to) => from switch
    {
        JobState.Undefined => to is JobState.Created,
        JobState.Created => to is JobState.Running or JobState.Aborting or JobState.Null,
        JobState.Running => to is JobState.Paused or JobState.Ready or JobState.Waiting or JobState.Aborting,
        JobState.Paused => to is JobState.Running,
        JobState.Ready => to is JobState.Standby or JobState.Waiting or JobState.Aborting,
        JobState.Standby => to is JobState.Ready,
        JobState.Waiting => to is JobState.Pending or JobState.Aborting,
        JobState.Pending => to is JobState.Aborting or JobState.Concluded,
        JobState.Aborting => to is JobState.Aborting or JobState.Concluded,
        JobState.Concluded => to is JobState.Null,
        _ => false,
    };
}
