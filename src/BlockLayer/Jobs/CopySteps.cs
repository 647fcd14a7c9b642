using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Requests;

namespace BlockLayer.Jobs;

/// <summary>The steps that a job's copy loop has under way, oldest first: reads and stores overlap. Used by the loop alone.</summary>
/// <param name="environment">Where they run.</param>
/// <param name="limiter">What they stored is accounted here when they are over.</param>
/// <param name="stored">Is told how many bytes each has stored.</param>
internal sealed class CopySteps(BlockEnvironment environment, RateLimiter limiter, Action<long> stored)
{
    private readonly Queue<Step> _underWay = new();

    internal int Count => _underWay.Count;

    /// <summary>Starts a step.</summary>
    /// <param name="range">What it copies.</param>
    /// <param name="copy">How.</param>
    /// <param name="isZero">Whether only zeroes are stored; for whoever asks at its end.</param>
    internal void Start(ByteRange range, Func<ValueTask<CopyOutcome>> copy, bool isZero = false)
    {
        var step = new Step(range, isZero);
        step.Task = environment.Work.StartAsync(async () => step.Outcome = await copy().ConfigureAwait(false));
        _underWay.Enqueue(step);
    }

    /// <summary>A step that could not be started, because nobody knows what is to be copied there: it ends in its turn, as one whose read has failed.</summary>
    /// <returns><paramref name="range"/>.</returns>
    internal ByteRange Fail(ByteRange range, Exception error)
    {
        _underWay.Enqueue(new Step(range, isZero: false) { Outcome = new CopyOutcome(0, error, CopyStep.Read) });
        return range;
    }

    /// <summary>Waits for the oldest, which is none of them any more.</summary>
    internal async ValueTask<(ByteRange Range, CopyOutcome Outcome, bool IsZero)> EndFirstAsync()
    {
        Step first = _underWay.Dequeue();
        await first.Task.ConfigureAwait(false);
        Account(first);
        return (first.Range, first.Outcome, first.IsZero);
    }

    /// <summary>Waits for all. What fails in them is met again where it stands.</summary>
    internal async ValueTask EndAllAsync()
    {
        while (_underWay.TryDequeue(out Step? step))
        {
            await step.Task.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            Account(step);
        }
    }

    private void Account(Step step)
    {
        limiter.Account(step.Outcome.StoredBytes);
        stored(step.Outcome.StoredBytes);
    }

    private sealed class Step(ByteRange range, bool isZero)
    {
        internal ByteRange Range => range;

        internal bool IsZero => isZero;

        internal Task Task { get; set; } = Task.CompletedTask;

        internal CopyOutcome Outcome { get; set; }
    }
}
