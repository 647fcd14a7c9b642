namespace BlockLayer.Jobs;

/// <summary>What a backup saves; QMP's <c>MirrorSyncMode</c>.</summary>
public enum BackupSync
{
    /// <summary>The whole disk.</summary>
    Full,

    /// <summary>What the newest image holds; the target has what is below.</summary>
    Top,

    /// <summary>What a dirty bitmap shows as written since the last backup; the target has the rest.</summary>
    Incremental,

    /// <summary>Only what guests overwrite, before they do. Such a backup ends when it is cancelled: it is a window on the disk as it was.</summary>
    None,
}
