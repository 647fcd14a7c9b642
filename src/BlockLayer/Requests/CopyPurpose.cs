namespace BlockLayer.Requests;

/// <summary>On whose behalf a copy is made.</summary>
internal enum CopyPurpose
{
    /// <summary>A guest reads: no memory, no copy.</summary>
    GuestRead,

    /// <summary>A job fills the image: it has reserved its memory, and it tries units again whose store has failed.</summary>
    Job,
}
