using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Jobs;
using BlockLayer.Simulation;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Jobs;

/// <summary>Every verb on a job in every state: what it does where it is taken, and that it changes nothing where it is not.</summary>
public class JobVerbTests
{
    private readonly SimulationScheduler _scheduler = new(1);
    private readonly BlockEnvironment _environment;
    private ScriptedJob? _partner; // keeps the tested job waiting

    public JobVerbTests() => _environment = TestEnvironment.Of(_scheduler);

    /// <summary>Every verb with every state that a job can be held in.</summary>
    public static TheoryData<JobVerb, JobState> Cells()
    {
        var cells = new TheoryData<JobVerb, JobState>();
        foreach (JobVerb verb in Enum.GetValues<JobVerb>().Where(verb => verb != JobVerb.Change)) // a mirror's own
        {
            foreach (JobState state in Enum.GetValues<JobState>().Where(state => state is not (JobState.Undefined or JobState.Aborting)))
            {
                cells.Add(verb, state);
            }
        }

        return cells;
    }

    [Theory]
    [MemberData(nameof(Cells))]
    public void A_verb_works_in_the_states_of_its_table_and_is_refused_in_the_others(JobVerb verb, JobState state)
        => _scheduler.Run(async () =>
        {
            ScriptedJob job = await HeldInAsync(state);
            bool paused = job.GetInfo().IsPaused;
            bool taken = JobVerbs.IsAllowed(verb, state) && (verb, paused) is not ((JobVerb.Pause, true) or (JobVerb.Resume, false));
            JobEvent[] before = [.. job.Events];
            if (taken)
            {
                Ask(job, verb);
                await Task.Delay(TimeSpan.FromSeconds(1), _scheduler.Time);
                Assert.Equal(StateAfter(verb, state), job.State);
                AssertLegal(job);
            }
            else
            {
                JobVerbException refusal = Assert.Throws<JobVerbException>(() => Ask(job, verb));
                Assert.Equal((BlockErrorKind.Conflict, verb, state), (refusal.Kind, refusal.Verb, refusal.State));
                Assert.StartsWith($"job 'tested' (scripted) is {state.ToString().ToLowerInvariant()} and does not take '{Spelled(verb)}': ", refusal.Message, StringComparison.Ordinal);
                await Task.Delay(TimeSpan.FromSeconds(1), _scheduler.Time);
                Assert.Equal(before, job.Events);
                Assert.Equal((state, paused), (job.State, job.GetInfo().IsPaused));
            }
        });

    [Theory]
    [InlineData(JobVerb.Cancel)]
    [InlineData(JobVerb.Pause)]
    [InlineData(JobVerb.Resume)]
    [InlineData(JobVerb.SetSpeed)]
    [InlineData(JobVerb.Complete)]
    [InlineData(JobVerb.Finalize)]
    [InlineData(JobVerb.Dismiss)]
    public void A_job_that_gives_back_what_it_took_refuses_every_verb(JobVerb verb)
        => _scheduler.Run(async () =>
        {
            var job = new ScriptedJob("tested", _environment);
            Exception? refusal = null;
            job.OnHook = hook => refusal = hook == "clean up" ? Record.Exception(() => Ask(job, verb)) : null;
            await job.StartAsync();
            job.Cancel(force: true);
            Assert.Equal(JobOutcome.Cancelled, (await job.Completion).Outcome);
            JobVerbException found = Assert.IsType<JobVerbException>(refusal);
            Assert.Equal((verb, JobState.Aborting), (found.Verb, found.State));
            AssertLegal(job);
        });

    [Theory]
    [InlineData(JobState.Created)]
    [InlineData(JobState.Running)]
    [InlineData(JobState.Paused)]
    [InlineData(JobState.Ready)]
    [InlineData(JobState.Standby)]
    [InlineData(JobState.Waiting)]
    [InlineData(JobState.Pending)]
    public void A_forced_cancel_ends_a_job_in_every_state_before_the_end(JobState state)
        => _scheduler.Run(async () =>
        {
            ScriptedJob job = await HeldInAsync(state);
            job.Cancel(force: true);
            if (_partner is { } partner)
            {
                Assert.Equal(JobOutcome.Cancelled, (await partner.Completion).Outcome);
            }

            Assert.Equal(JobOutcome.Cancelled, (await job.Completion).Outcome);
            Assert.DoesNotContain("commit", job.Hooks);
            Assert.Equal([JobState.Aborting, JobState.Concluded], job.States.TakeLast(2));
            AssertLegal(job);
        });

    [Theory]
    [InlineData(JobState.Ready)]
    [InlineData(JobState.Standby)]
    public void A_soft_cancel_of_a_ready_job_ends_it_well(JobState state)
        => _scheduler.Run(async () =>
        {
            ScriptedJob job = await HeldInAsync(state);
            job.Cancel();
            await Task.Delay(TimeSpan.FromSeconds(1), _scheduler.Time);
            job.FinalizeJob();
            Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
            Assert.Contains("commit", job.Hooks);
            AssertLegal(job);
        });

    [Fact]
    public void A_job_that_is_paused_before_it_is_started_takes_no_step()
        => _scheduler.Run(async () =>
        {
            var job = new ScriptedJob("tested", _environment);
            job.Pause();
            await job.StartAsync();
            await Task.Delay(TimeSpan.FromHours(1), _scheduler.Time);
            Assert.Equal((JobState.Paused, false), (job.State, job.Hooks.Contains("work")));
            job.Resume();
            job.LetGo();
            Assert.Equal(JobOutcome.Completed, (await job.Completion).Outcome);
            AssertLegal(job);
        });

    [Fact]
    public void A_job_cancelled_before_it_is_started_never_starts()
        => _scheduler.Run(async () =>
        {
            var job = new ScriptedJob("tested", _environment);
            job.Cancel();
            Assert.Equal(JobOutcome.Cancelled, (await job.Completion).Outcome);
            await Assert.ThrowsAsync<InvalidOperationException>(async () => await job.StartAsync());
            Assert.Empty(job.Hooks);
        });

    [Fact]
    public void An_error_that_stops_a_job_shows_in_its_status_until_it_is_resumed()
        => _scheduler.Run(async () =>
        {
            var job = new ScriptedJob("tested", _environment, new ScriptedJobOptions { OnError = JobErrorPolicy.Stop });
            await job.StartAsync();
            var full = new BlockLayerException(BlockErrorKind.NoSpace, "full");
            Assert.Equal(JobErrorAction.Stop, job.FailStep(full));
            Assert.Equal((JobIoStatus.NoSpace, true, full), (job.GetInfo().IoStatus, job.GetInfo().IsPaused, job.PausingError));
            job.Resume();
            Assert.Equal((JobIoStatus.Ok, false, null), (job.GetInfo().IoStatus, job.GetInfo().IsPaused, job.PausingError));
            job.LetGo();
            await job.Completion;
        });

    [Fact]
    public void The_events_can_be_read_as_a_sequence_that_ends()
        => _scheduler.Run(async () =>
        {
            var job = new ScriptedJob("tested", _environment, new ScriptedJobOptions { BecomesReady = true });
            var read = new List<JobEvent>();
            Task reading = ReadAsync();
            await job.StartAsync();
            await Task.Delay(TimeSpan.FromSeconds(1), _scheduler.Time);
            job.Complete();
            await reading;
            Assert.Equal(job.Events, read);

            async Task ReadAsync()
            {
                await foreach (JobEvent what in job.ReadEventsAsync())
                {
                    read.Add(what);
                }
            }
        });

    private static void AssertLegal(ScriptedJob job)
    {
        JobState state = JobState.Created;
        foreach (JobState next in job.States)
        {
            Assert.True(JobTransitions.IsAllowed(state, next), $"{state} -> {next}");
            state = next;
        }
    }

    // Of a job that took a verb and was left to itself; its result waits for a word, and so does its end.
    private static JobState StateAfter(JobVerb verb, JobState state) => (verb, state) switch
    {
        (JobVerb.Cancel or JobVerb.Complete, JobState.Ready) or (JobVerb.Cancel, JobState.Standby) => JobState.Pending,
        (JobVerb.Cancel or JobVerb.Finalize, _) => JobState.Concluded,
        (JobVerb.Pause, JobState.Running) => JobState.Paused,
        (JobVerb.Pause, JobState.Ready) => JobState.Standby,
        (JobVerb.Resume, JobState.Paused) => JobState.Running,
        (JobVerb.Resume, JobState.Standby) => JobState.Ready,
        (JobVerb.Dismiss, _) => JobState.Null,
        _ => state, // another speed, a pause before the start, and a job that is to complete once it is resumed
    };

    private static string Spelled(JobVerb verb) => verb == JobVerb.SetSpeed ? "set-speed" : verb.ToString().ToLowerInvariant();

    private static void Ask(ScriptedJob job, JobVerb verb)
    {
        switch (verb)
        {
            case JobVerb.Cancel:
                job.Cancel();
                break;
            case JobVerb.Pause:
                job.Pause();
                break;
            case JobVerb.Resume:
                job.Resume();
                break;
            case JobVerb.SetSpeed:
                job.BytesPerSecond = 5;
                Assert.Equal(5, job.GetInfo().BytesPerSecond);
                break;
            case JobVerb.Complete:
                job.Complete();
                break;
            case JobVerb.Finalize:
                job.FinalizeJob();
                break;
            default:
                job.Dismiss();
                Assert.Equal(JobState.Null, job.State);
                break;
        }
    }

    // A job that stays in a state until somebody asks something of it.
    private async Task<ScriptedJob> HeldInAsync(JobState state)
    {
        bool ready = state is JobState.Ready or JobState.Standby;
        var job = new ScriptedJob("tested", _environment, new ScriptedJobOptions { BecomesReady = ready, AutoFinalize = false, AutoDismiss = state == JobState.Null });
        if (state == JobState.Created)
        {
            return job;
        }

        _partner = state == JobState.Waiting ? new ScriptedJob("partner", _environment) : null;
        await JobTransaction.StartAsync(_partner is null ? [job] : [job, _partner]);
        await Task.Delay(TimeSpan.FromSeconds(1), _scheduler.Time);
        if (state is JobState.Paused or JobState.Standby)
        {
            job.Pause();
        }
        else if (state is not (JobState.Running or JobState.Ready))
        {
            job.LetGo();
        }

        await Task.Delay(TimeSpan.FromSeconds(1), _scheduler.Time);
        if (state is JobState.Concluded or JobState.Null)
        {
            job.FinalizeJob();
            await job.Completion;
        }

        Assert.Equal(state, job.State);
        return job;
    }
}
