using BlockLayer.Jobs;
using Xunit;

namespace BlockLayer.Tests.Jobs;

/// <summary>The tables of states and verbs against the ones that QEMU documents, cell by cell.</summary>
public class JobTransitionTests
{
    // Rows: from. Columns: to, in the order of the states. Source: QEMU, job.c, JobSTT.
    private static readonly string[] s_transitions =
    [
        //           U C R P Y S W D X E N
        "undefined   . x . . . . . . . . .",
        "created     . . x . . . . . x . x",
        "running     . . . x x . x . x . .",
        "paused      . . x . . . . . . . .",
        "ready       . . . . . x x . x . .",
        "standby     . . . . x . . . . . .",
        "waiting     . . . . . . . x x . .",
        "pending     . . . . . . . . x x .",
        "aborting    . . . . . . . . x x .",
        "concluded   . . . . . . . . . . x",
        "null        . . . . . . . . . . .",
    ];

    // Rows: verbs. Columns: states. Source: QEMU, job.c, JobVerbTable.
    private static readonly string[] s_verbs =
    [
        //           U C R P Y S W D X E N
        "cancel      . x x x x x x x . . .",
        "pause       . x x x x x . . . . .",
        "resume      . x x x x x . . . . .",
        "setspeed    . x x x x x . . . . .",
        "complete    . . . . x x . . . . .",
        "finalize    . . . . . . . x . . .",
        "dismiss     . . . . . . . . . x .",
        "change      . x x x x x . . . . .",
    ];

    [Fact]
    public void Every_state_may_be_followed_by_those_of_the_table_and_no_other()
    {
        JobState[] states = Enum.GetValues<JobState>();
        Assert.Equal(11, states.Length);
        Assert.Equal(s_transitions, states.Select(from => Row(from, states.Select(to => JobTransitions.IsAllowed(from, to)))));
    }

    [Fact]
    public void Every_verb_is_taken_in_the_states_of_the_table_and_no_other()
        => Assert.Equal(s_verbs, Enum.GetValues<JobVerb>().Select(verb => Row(verb, Enum.GetValues<JobState>().Select(state => JobVerbs.IsAllowed(verb, state)))));

    private static string Row<T>(T name, IEnumerable<bool> cells)
        where T : struct, Enum
        => $"{name.ToString().ToLowerInvariant(),-11} {string.Join(' ', cells.Select(cell => cell ? 'x' : '.'))}";
}
