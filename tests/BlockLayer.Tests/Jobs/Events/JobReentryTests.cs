using BlockLayer.Graph;
using BlockLayer.Jobs;
using BlockLayer.Simulation;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Jobs;

/// <summary>Handlers of events that throw or use the job's verbs at once, and readers of events that come early or late.</summary>
public class JobReentryTests
{
    private readonly SimulationScheduler _scheduler = new(1);
    private readonly BlockEnvironment _environment;

    public JobReentryTests() => _environment = TestEnvironment.Of(_scheduler);

    [Theory]
    [InlineData(JobState.Paused)]
    [InlineData(JobState.Standby)]
    public void A_handler_that_throws_at_a_pause_ends_the_job_by_legal_transitions(JobState state)
        => _scheduler.Run(async () =>
        {
            var job = new ScriptedJob("tested", _environment, new ScriptedJobOptions { BecomesReady = state == JobState.Standby });
            job.Notified += (_, what) =>
            {
                if (what is JobStateChanged { State: var now } && now == state)
                {
                    throw new InvalidOperationException("a handler's");
                }
            };
            await job.StartAsync();
            await Task.Delay(TimeSpan.FromSeconds(1), _scheduler.Time);
            job.Pause();
            JobResult result = await job.Completion;
            Assert.Equal((JobOutcome.Failed, "a handler's"), (result.Outcome, result.Error?.Message));
            AssertLegal(job);
        });

    [Fact]
    public void A_handler_that_throws_when_it_is_told_of_the_end_does_not_keep_the_job_from_being_concluded()
        => _scheduler.Run(async () =>
        {
            var job = new ScriptedJob("tested", _environment);
            job.Notified += (_, what) =>
            {
                if (what is JobEnded)
                {
                    throw new InvalidOperationException("a handler's");
                }
            };
            await job.StartAsync();
            job.LetGo();
            JobResult result = await job.Completion;
            Assert.Equal((JobOutcome.Completed, "a handler's"), (result.Outcome, result.Error?.Message));
            AssertLegal(job);
        });

    [Fact]
    public void Events_are_read_from_the_call_on_not_from_the_first_step_of_the_loop()
        => _scheduler.Run(async () =>
        {
            var job = new ScriptedJob("tested", _environment);
            IAsyncEnumerable<JobEvent> events = job.ReadEventsAsync();
            job.LetGo();
            await job.StartAsync();
            await job.Completion;
            Assert.Equal(job.Events, await ReadAsync(events));
            Assert.Empty(await ReadAsync(job.ReadEventsAsync())); // nothing comes any more, and nobody waits for it
        });

    [Fact]
    public void A_handler_that_dismisses_a_job_at_its_conclusion_does_not_bring_the_events_of_others_out_of_order()
        => _scheduler.Run(async () =>
        {
            var job = new ScriptedJob("tested", _environment, new ScriptedJobOptions { AutoDismiss = false, Notify = DismissAtTheEnd });
            IAsyncEnumerable<JobEvent> events = job.ReadEventsAsync();
            await job.StartAsync();
            job.LetGo();
            await job.Completion;
            Assert.Equal(job.Events, await ReadAsync(events));
            AssertLegal(job);

            static void DismissAtTheEnd(BlockJob job, JobEvent what)
            {
                if (what is JobStateChanged { State: JobState.Concluded })
                {
                    job.Dismiss();
                }
            }
        });

    private static async Task<List<JobEvent>> ReadAsync(IAsyncEnumerable<JobEvent> events)
    {
        var read = new List<JobEvent>();
        await foreach (JobEvent what in events)
        {
            read.Add(what);
        }

        return read;
    }

    private static void AssertLegal(ScriptedJob job)
    {
        JobState state = JobState.Created;
        foreach (JobState next in job.States)
        {
            Assert.True(JobTransitions.IsAllowed(state, next), $"{state} -> {next}");
            state = next;
        }

        Assert.Equal(JobState.Null, state);
    }
}
