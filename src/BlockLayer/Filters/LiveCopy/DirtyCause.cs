namespace BlockLayer.Filters;

/// <summary>Why a range of the target may differ from the source.</summary>
internal enum DirtyCause
{
    /// <summary>It was never copied.</summary>
    NotCopied,

    /// <summary>A guest changed the source, or may have, as far as a change that failed got.</summary>
    GuestChanged,

    /// <summary>A copy into the target failed, or a change of both sides failed on one of them.</summary>
    CopyFailed,
}
