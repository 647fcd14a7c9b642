namespace BlockLayer.Jobs;

/// <summary>When an incremental backup takes out of its bitmap what it has saved; QMP's <c>BitmapSyncMode</c>.</summary>
public enum BitmapUpdate
{
    /// <summary>When it completes: the bitmap then shows what was written since the backup was started. When it does not, the bitmap shows all.</summary>
    OnSuccess,

    /// <summary>Never: the next backup saves all of it again, and more.</summary>
    Never,

    /// <summary>Also when it fails or is cancelled: the bitmap then shows what is not saved, and what was written since. The target is needed to go on from.</summary>
    Always,
}
