using System.Diagnostics.CodeAnalysis;
using System.Runtime.ExceptionServices;
using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Requests;

namespace BlockLayer.Jobs;

/// <summary>The steps that a copy loop has under way, a job's or an offline operation's, oldest first: reads and stores overlap. Used by the loop alone.</summary>
/// <remarks>
/// Steps are begun in order by strands of work, at most one a processor. A strand goes on with the next step as soon as one waits or is over, so where nothing waits for a disk
/// each strand stays on its thread and nobody is woken, neither for a step nor for the loop, which goes on inside the strand that has ended the oldest step.
/// </remarks>
/// <param name="environment">Where they run.</param>
/// <param name="limiter">What they stored is accounted here when they are over; null where nothing limits them.</param>
/// <param name="stored">Is told how many bytes each has stored; null where nobody counts them.</param>
internal sealed class CopySteps(BlockEnvironment environment, RateLimiter? limiter = null, Action<long>? stored = null)
{
    private readonly Queue<Step> _underWay = new();
    private readonly Lock _gate = new();
    private readonly Queue<Step> _notBegun = new(); // guarded by _gate
    private int _strands;                           // guarded by _gate

    internal int Count => _underWay.Count;

    /// <summary>Starts a step.</summary>
    /// <param name="range">What it copies.</param>
    /// <param name="copy">How.</param>
    /// <param name="isZero">Whether only zeroes are stored; for whoever asks at its end.</param>
    internal void Start(ByteRange range, Func<ValueTask<CopyOutcome>> copy, bool isZero = false)
    {
        var step = new Step(range, copy, isZero);
        _underWay.Enqueue(step);
        lock (_gate)
        {
            _notBegun.Enqueue(step);
            if (_strands == environment.Work.Degree)
            {
                return;
            }

            _strands++;
        }

        environment.Work.StartCopying(BeginSteps);
    }

    /// <summary>A step that could not be started, because nobody knows what is to be copied there: it ends in its turn, as one whose read has failed.</summary>
    /// <returns><paramref name="range"/>.</returns>
    internal ByteRange Fail(ByteRange range, Exception error)
    {
        var step = new Step(range, () => new ValueTask<CopyOutcome>(new CopyOutcome(0, error, CopyStep.Read)), isZero: false);
        _underWay.Enqueue(step);
        _ = step.RunAsync(); // which is over at once
        return range;
    }

    /// <summary>Waits for the oldest, which is none of them any more.</summary>
    internal async ValueTask<(ByteRange Range, CopyOutcome Outcome, bool IsZero)> EndFirstAsync()
    {
        Step first = _underWay.Dequeue();
        await first.Over.WaitAsync().ConfigureAwait(false);
        if (first.Failure is { } failure)
        {
            ExceptionDispatchInfo.Throw(failure);
        }

        Account(first);
        return (first.Range, first.Outcome, first.IsZero);
    }

    /// <summary>Waits for all. What fails in them is met again where it stands.</summary>
    internal async ValueTask EndAllAsync()
    {
        while (_underWay.TryDequeue(out Step? step))
        {
            await step.Over.WaitAsync().ConfigureAwait(false);
            Account(step);
        }
    }

    private void BeginSteps()
    {
        while (TryTake(out Step? step))
        {
            _ = step.RunAsync();
        }
    }

    private bool TryTake([NotNullWhen(true)] out Step? step)
    {
        lock (_gate)
        {
            if (!_notBegun.TryDequeue(out step))
            {
                _strands--;
            }

            return step is not null;
        }
    }

    private void Account(Step step)
    {
        limiter?.Account(step.Outcome.StoredBytes);
        stored?.Invoke(step.Outcome.StoredBytes);
    }

    private sealed class Step(ByteRange range, Func<ValueTask<CopyOutcome>> copy, bool isZero)
    {
        internal ByteRange Range => range;

        internal bool IsZero => isZero;

        /// <summary>Happens when it is over, well or badly.</summary>
        internal Completion Over { get; } = new();

        internal CopyOutcome Outcome { get; private set; }

        /// <summary>What it threw.</summary>
        internal Exception? Failure { get; private set; }

        internal async Task RunAsync()
        {
            try
            {
                Outcome = await copy().ConfigureAwait(false);
            }
            catch (Exception error)
            {
                Failure = error;
            }

            Over.Complete();
        }
    }
}
