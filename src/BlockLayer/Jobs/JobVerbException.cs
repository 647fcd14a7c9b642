using BlockLayer.Errors;

namespace BlockLayer.Jobs;

/// <summary>A job was asked for something that it does not take in its present state. Nothing has changed. Its kind is <see cref="BlockErrorKind.Conflict"/>.</summary>
public sealed class JobVerbException : BlockLayerException
{
    internal JobVerbException(BlockJob job, JobVerb verb, JobState state, string reason)
        : base(BlockErrorKind.Conflict, $"{job} is {state.ToString().ToLowerInvariant()} and does not take '{JobVerbs.NameOf(verb)}': {reason}.")
    {
        Verb = verb;
        State = state;
    }

    /// <summary>What was asked.</summary>
    public JobVerb Verb { get; }

    /// <summary>Where the job was in its life.</summary>
    public JobState State { get; }

    internal static JobVerbException NotIn(BlockJob job, JobVerb verb, JobState state)
    {
        IEnumerable<string> states = Enum.GetValues<JobState>().Where(other => JobVerbs.IsAllowed(verb, other)).Select(other => other.ToString().ToLowerInvariant());
        return new JobVerbException(job, verb, state, $"it has to be {string.Join(" or ", states)}");
    }
}
