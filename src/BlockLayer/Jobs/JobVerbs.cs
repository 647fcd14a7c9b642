namespace BlockLayer.Jobs;

/// <summary>In which states a job takes which verb; as QEMU's job.c has it in its table of verbs.</summary>
public static class JobVerbs
{
    /// <summary>True when a job in <paramref name="state"/> takes <paramref name="verb"/>.</summary>
    public static bool IsAllowed(JobVerb verb, JobState state) => verb switch
    {
        JobVerb.Cancel => state is >= JobState.Created and <= JobState.Pending,
        JobVerb.Pause or JobVerb.Resume or JobVerb.SetSpeed or JobVerb.Change => state is >= JobState.Created and <= JobState.Standby,
        JobVerb.Complete => state is JobState.Ready or JobState.Standby,
        JobVerb.Finalize => state is JobState.Pending,
        JobVerb.Dismiss => state is JobState.Concluded,
        _ => false,
    };

    /// <summary>How QMP spells a verb.</summary>
    internal static string NameOf(JobVerb verb) => verb switch
    {
        JobVerb.SetSpeed => "set-speed",
        _ => verb.ToString().ToLowerInvariant(),
    };
}
