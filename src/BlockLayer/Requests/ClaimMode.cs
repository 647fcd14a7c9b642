namespace BlockLayer.Requests;

/// <summary>Whom a claim on a range keeps out.</summary>
internal enum ClaimMode
{
    /// <summary>Exclusive claims only.</summary>
    Shared,

    /// <summary>Everybody.</summary>
    Exclusive,
}
