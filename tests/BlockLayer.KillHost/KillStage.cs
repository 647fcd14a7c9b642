namespace BlockLayer.KillHost;

/// <summary>Knows where the process is to stop, and stops it there. Free-threaded.</summary>
internal sealed class KillStage(KillPoint point, int callsBefore, Report report)
{
    private int _writes; // interlocked; of the image that is copied into
    private int _calls;  // interlocked; since all was copied
    private volatile bool _isFinishing;

    /// <summary>All is copied: from now on the job only ends.</summary>
    internal void BeginFinishing() => _isFinishing = true;

    /// <summary>Before a write of the image that is copied into.</summary>
    internal void OnCopyingWrite()
    {
        if (point == KillPoint.Copying && Interlocked.Increment(ref _writes) > callsBefore)
        {
            report.Stop();
        }
    }

    /// <summary>Before a write or a flush of any image that the job changes.</summary>
    internal void OnCall()
    {
        if (point == KillPoint.Finishing && _isFinishing && Interlocked.Increment(ref _calls) > callsBefore)
        {
            report.Stop();
        }
    }

    /// <summary>The job is at a point that is met once.</summary>
    internal void On(KillPoint reached)
    {
        if (point == reached)
        {
            report.Stop();
        }
    }
}
