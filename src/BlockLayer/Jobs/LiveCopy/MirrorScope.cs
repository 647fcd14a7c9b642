namespace BlockLayer.Jobs;

/// <summary>What of a disk is copied; QMP's <c>MirrorSyncMode</c>.</summary>
public enum MirrorScope
{
    /// <summary>All that the disk shows, whichever image of its chain holds it.</summary>
    Full,

    /// <summary>What the newest image holds. The target stands on the same backing file.</summary>
    Top,

    /// <summary>
    /// What guests change from now on. The target shows the same as the disk already, or is an overlay of the disk's newest image, which is its backing file after the change over.
    /// </summary>
    None,
}
