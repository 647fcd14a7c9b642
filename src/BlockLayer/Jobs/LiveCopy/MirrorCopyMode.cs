namespace BlockLayer.Jobs;

/// <summary>How a live copy keeps up with guests; QMP's <c>MirrorCopyMode</c>.</summary>
public enum MirrorCopyMode
{
    /// <summary>
    /// Guests write the source alone, at its speed; what they wrote is copied afterwards. Where they write faster than that, the job does not become ready.
    /// </summary>
    Background,

    /// <summary>A guest's write completes when both sides have it. The job becomes ready whatever guests do.</summary>
    WriteBlocking,
}
