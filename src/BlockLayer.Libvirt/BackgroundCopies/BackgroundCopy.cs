using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Jobs;

namespace BlockLayer.Libvirt;

/// <summary>A background copy that was started: the handle of <see cref="BackgroundCopyApi"/>.</summary>
/// <remarks>
/// The callback of the start is called first, then those of cancels in their order; each once, by whoever ends the copy. What one throws is in the <see cref="JobResult.Error"/> of <see cref="Completion"/>, and those
/// after it are not called.
/// </remarks>
public sealed class BackgroundCopy
{
    private const int Canceled = -125; // errno.h of Linux, here and below

    private readonly Lock _gate = new();
    private readonly List<BackgroundCopyCallback> _callbacks = []; // guarded by _gate; empty once it is over
    private readonly StreamJob _job;
    private int? _result; // guarded by _gate

    internal BackgroundCopy(BlockNode node, BlockNode? @base, BackgroundCopyCallback? callback)
    {
        _job = new StreamJob(node, new StreamOptions { Id = "background copy", Base = @base });
        _job.Notified += Hear;
        if (callback is not null)
        {
            _callbacks.Add(callback);
        }
    }

    /// <summary>The end of the copy, with its reason, for callers that await it instead; never fails.</summary>
    public Task<JobResult> Completion => _job.Completion;

    /// <summary>The job that does the work.</summary>
    internal StreamJob Job => _job;

    internal BackgroundCopyStatus Status
    {
        get
        {
            JobProgress progress = _job.Progress;
            lock (_gate)
            {
                return new BackgroundCopyStatus(progress.Current, progress.End, _result);
            }
        }
    }

    internal void Cancel(BackgroundCopyCallback? callback)
    {
        int? result;
        lock (_gate)
        {
            result = _result;
            if (callback is not null && result is null)
            {
                _callbacks.Add(callback);
            }
        }

        if (result is { } known)
        {
            callback?.Invoke(this, known);
        }
        else
        {
            _job.TryCancel(); // too late for that: it is being made durable, and the callback tells how that ended
        }
    }

    private void Hear(BlockJob job, JobEvent what)
    {
        if (what is not JobEnded { Result: { } ended })
        {
            return;
        }

        int result = ResultOf(ended);
        BackgroundCopyCallback[] callbacks;
        lock (_gate)
        {
            _result = result;
            callbacks = [.. _callbacks];
            _callbacks.Clear();
        }

        foreach (BackgroundCopyCallback callback in callbacks)
        {
            callback(this, result);
        }
    }

    private static int ResultOf(JobResult ended) => ended.Outcome switch
    {
        JobOutcome.Completed => 0,
        JobOutcome.Cancelled => Canceled,
        _ => ended.Error is BlockLayerException error ? ErrnoOf(error.Kind) : -5,
    };

    private static int ErrnoOf(BlockErrorKind kind) => kind switch
    {
        BlockErrorKind.NoSpace => -28,
        BlockErrorKind.ReadOnly => -30,
        BlockErrorKind.Unsupported => -95,
        BlockErrorKind.Denied => -13,
        BlockErrorKind.Conflict => -16,
        BlockErrorKind.NotFound => -2,
        BlockErrorKind.OutOfRange or BlockErrorKind.InvalidFormat => -22,
        _ => -5,
    };
}
