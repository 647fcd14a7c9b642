using System.Runtime.CompilerServices;
using BlockLayer.Primitives;

namespace BlockLayer.Jobs;

/// <summary>The events of a job as a sequence that a loop can await, for those who would rather not be called back.</summary>
internal sealed class JobEventStream
{
    private readonly Lock _gate = new();
    private readonly Queue<JobEvent> _events = []; // guarded by _gate
    private Completion? _more;                     // guarded by _gate; set while the reader waits
    private bool _isOver;                          // from the beginning: nothing comes any more

    // Listens at once, not when the first event is asked for: that may be after the last one.
    internal static IAsyncEnumerable<JobEvent> Read(BlockJob job, CancellationToken cancellationToken)
    {
        var stream = new JobEventStream();
        job.Notified += stream.Add;
        stream._isOver = job.State == JobState.Null; // the last event may have been raised
        return stream.ReadAsync(job, cancellationToken);
    }

    private async IAsyncEnumerable<JobEvent> ReadAsync(BlockJob job, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        try
        {
            while (!_isOver)
            {
                JobEvent what = await NextAsync(cancellationToken).ConfigureAwait(false);
                yield return what;
                if (what is JobStateChanged { State: JobState.Null })
                {
                    yield break;
                }
            }
        }
        finally
        {
            job.Notified -= Add;
        }
    }

    private void Add(BlockJob job, JobEvent what)
    {
        Completion? more;
        lock (_gate)
        {
            _events.Enqueue(what);
            (more, _more) = (_more, null);
        }

        more?.Complete();
    }

    private async ValueTask<JobEvent> NextAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            Completion more;
            lock (_gate)
            {
                if (_events.TryDequeue(out JobEvent? what))
                {
                    return what;
                }

                more = _more = new Completion();
            }

            await more.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }
}
