using BlockLayer.Primitives;
using Xunit;

namespace BlockLayer.Simulation.Tests.Scheduling;

public class SimulationSchedulerTests
{
    [Theory]
    [InlineData(SimulationOrder.Random)]
    [InlineData(SimulationOrder.FirstInFirstOut)]
    [InlineData(SimulationOrder.LastInFirstOut)]
    [InlineData(SimulationOrder.Stragglers)]
    public void Same_seed_gives_the_same_trace(SimulationOrder order)
    {
        (ulong Hash, string Log) first = RunRacers(new SimulationOptions { Seed = 42, Order = order });
        (ulong Hash, string Log) second = RunRacers(new SimulationOptions { Seed = 42, Order = order });
        Assert.Equal(first, second);
    }

    [Theory]
    [InlineData(SimulationOrder.Random, 45)]
    [InlineData(SimulationOrder.Stragglers, 20)]
    public void Different_seeds_give_different_interleavings(SimulationOrder order, int atLeast)
    {
        int different = Enumerable.Range(0, 50).Select(seed => RunRacers(new SimulationOptions { Seed = (ulong)seed, Order = order }).Log).Distinct().Count();
        Assert.InRange(different, atLeast, 50);
    }

    [Fact]
    public void First_in_first_out_keeps_turns()
        => Assert.Equal("abcabcabcabc", RunRacers(new SimulationOptions { Order = SimulationOrder.FirstInFirstOut }).Log);

    [Fact]
    public void Last_in_first_out_lets_one_strand_run_to_its_end()
        => Assert.Equal("ccccbbbbaaaa", RunRacers(new SimulationOptions { Order = SimulationOrder.LastInFirstOut }).Log);

    [Fact]
    public void Every_step_runs_on_the_thread_that_drives()
    {
        var scheduler = new SimulationScheduler(1);
        int thread = Environment.CurrentManagedThreadId;
        var gate = new AsyncLock();
        for (int i = 0; i < 20; i++)
        {
            scheduler.Spawn("guest", async () =>
            {
                using (await gate.EnterAsync().ConfigureAwait(false))
                {
                    await Task.Delay(TimeSpan.FromSeconds(1), scheduler.Time).ConfigureAwait(false);
                    await scheduler.Work.RunAsync(static thread => Assert.Equal(thread, Environment.CurrentManagedThreadId), thread).ConfigureAwait(false);
                }

                await Task.WhenAll(scheduler.StepAsync().AsTask(), scheduler.StepAsync().AsTask()).ConfigureAwait(false);
                Assert.Equal(thread, Environment.CurrentManagedThreadId);
            });
        }

        scheduler.Run();
        Assert.Equal(TimeSpan.FromSeconds(20), scheduler.Elapsed);
    }

    [Fact]
    public void A_synchronization_context_is_cleared_for_the_run_and_put_back()
    {
        var context = new SynchronizationContext();
        SynchronizationContext? before = SynchronizationContext.Current;
        SynchronizationContext.SetSynchronizationContext(context);
        try
        {
            var scheduler = new SimulationScheduler(1);
            scheduler.Run(async () =>
            {
                Assert.Null(SynchronizationContext.Current);
                await scheduler.StepAsync();
                Assert.Null(SynchronizationContext.Current);
            });
            Assert.Same(context, SynchronizationContext.Current);
        }
        finally
        {
            SynchronizationContext.SetSynchronizationContext(before);
        }
    }

    [Fact]
    public void Waiting_for_each_other_is_a_deadlock_that_names_seed_and_strands()
    {
        var scheduler = new SimulationScheduler(77);
        var first = new AsyncLock();
        var second = new AsyncLock();
        async Task TakeBothAsync(AsyncLock one, AsyncLock other)
        {
            using (await one.EnterAsync())
            {
                await Task.Delay(TimeSpan.FromSeconds(1), scheduler.Time);
                using (await other.EnterAsync())
                {
                }
            }
        }

        scheduler.Spawn("left", () => TakeBothAsync(first, second));
        scheduler.Spawn("right", () => TakeBothAsync(second, first));
        var error = Assert.Throws<SimulationDeadlockException>(scheduler.Run);
        Assert.Equal(77UL, error.Seed);
        Assert.Equal(["left", "right"], error.Waiting);
        Assert.StartsWith("Nothing can run and no timer is set, but these have not finished: left, right; seed=77 order=Random,", error.Message, StringComparison.Ordinal);
        Assert.Contains("or for what the simulation does not drive: Task.Run, the system's clock, a call outside this run. Last steps: ", error.Message, StringComparison.Ordinal);
        Assert.Contains("timer, ", error.Message, StringComparison.Ordinal);
        Assert.Contains("completion, ", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Going_round_in_circles_is_a_livelock_that_names_the_seed()
    {
        var scheduler = new SimulationScheduler(new SimulationOptions { Seed = 5, StepLimit = 1000 });
        var error = Assert.Throws<SimulationLivelockException>(() => scheduler.Run(async () =>
        {
            while (true)
            {
                await scheduler.StepAsync();
            }
        }));
        Assert.Equal(1001, scheduler.Steps);
        Assert.StartsWith("The simulation took more than 1000 steps; seed=5 order=Random,", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_failing_strand_ends_the_run_with_its_own_exception()
    {
        var scheduler = new SimulationScheduler(1);
        scheduler.Spawn("waits for ever", () => new Completion().WaitAsync().AsTask());
        scheduler.Spawn("fails", async () =>
        {
            await scheduler.StepAsync();
            throw new InvalidDataException("wrong byte");
        });
        Assert.Equal("wrong byte", Assert.Throws<InvalidDataException>(scheduler.Run).Message);
    }

    [Fact]
    public void A_run_is_not_started_inside_a_run()
    {
        var scheduler = new SimulationScheduler(1);
        scheduler.Run(() =>
        {
            Assert.Throws<InvalidOperationException>(scheduler.Run);
            return Task.CompletedTask;
        });
    }

    [Fact]
    public void A_condition_ends_a_run_and_the_next_run_goes_on()
    {
        var scheduler = new SimulationScheduler(1);
        int count = 0;
        scheduler.Spawn("counts", async () =>
        {
            while (count < 10)
            {
                count++;
                await scheduler.StepAsync();
            }
        });
        scheduler.RunUntil(() => count == 4);
        Assert.Equal(4, count);
        scheduler.Run();
        Assert.Equal(10, count);
    }

    [Fact]
    public void A_result_comes_out_of_a_run()
        => Assert.Equal(3, new SimulationScheduler(1).Run(() => Task.FromResult(3)));

    [Fact]
    public void Completions_outside_a_run_do_not_wait_for_one()
    {
        var scheduler = new SimulationScheduler(1);
        scheduler.Run(() => Task.CompletedTask);
        var completion = new Completion();
        ValueTask waiting = completion.WaitAsync(TestContext.Current.CancellationToken);
        completion.Complete();
        Assert.True(waiting.IsCompletedSuccessfully);
    }

    [Fact]
    public void Work_runs_later_and_what_it_throws_the_caller_gets()
    {
        var scheduler = new SimulationScheduler(1);
        bool ran = false;
        scheduler.Run(async () =>
        {
            ValueTask work = scheduler.Work.RunAsync(_ => ran = true, 0);
            Assert.False(ran);
            await work;
            Assert.True(ran);
            await Assert.ThrowsAsync<InvalidDataException>(() => scheduler.Work.RunAsync(static _ => throw new InvalidDataException(), 0).AsTask());
            await Assert.ThrowsAsync<InvalidDataException>(() => scheduler.Work.StartAsync(() => throw new InvalidDataException()));
        });
    }

    /// <summary>Three strands that each note their letter four times, with a scheduling point after each.</summary>
    private static (ulong Hash, string Log) RunRacers(SimulationOptions options)
    {
        var scheduler = new SimulationScheduler(options);
        var log = new System.Text.StringBuilder();
        foreach (string name in new[] { "a", "b", "c" })
        {
            scheduler.Spawn(name, async () =>
            {
                for (int i = 0; i < 4; i++)
                {
                    log.Append(name);
                    await scheduler.StepAsync();
                }
            });
        }

        scheduler.Run();
        return (scheduler.TraceHash, log.ToString());
    }
}
