using BlockLayer.Primitives;
using BlockLayer.Storage;

namespace BlockLayer.Simulation;

/// <summary>
/// CPU work as steps of a simulation. A piece of work is one step and telling its caller another, so that anything may happen between the two.
/// Virtual time does not pass while work runs.
/// </summary>
public sealed class SimulatedWorkScheduler : WorkScheduler
{
    private readonly SimulationScheduler _scheduler;

    internal SimulatedWorkScheduler(SimulationScheduler scheduler, int degree)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(degree, 1);
        _scheduler = scheduler;
        Degree = degree;
    }

    /// <inheritdoc/>
    public override int Degree { get; }

    /// <inheritdoc/>
    public override ValueTask RunAsync<TState>(Action<TState> work, TState state)
    {
        var step = new WorkStep<TState>(_scheduler, work, state);
        _scheduler.Schedule(step, delay: 0);
        return step.VoidTask;
    }

    /// <inheritdoc/>
    public override async Task StartAsync(Func<Task> operation)
    {
        await _scheduler.StepAsync().ConfigureAwait(false);
        await operation().ConfigureAwait(false);
    }

    private sealed class WorkStep<TState>(SimulationScheduler scheduler, Action<TState> work, TState state) : Waiter<bool>
    {
        private bool _done;

        internal override void Run()
        {
            if (_done)
            {
                base.Run();
                return;
            }

            try
            {
                work(state);
                TryGrant(true);
            }
            catch (Exception error)
            {
                TryFail(error);
            }

            _done = true;
            scheduler.Schedule(this, delay: 0);
        }

        public override string ToString() => _done ? "work done" : "work";
    }
}
