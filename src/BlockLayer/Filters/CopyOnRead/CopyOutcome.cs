namespace BlockLayer.Filters;

/// <summary>What a background copy of a range achieved.</summary>
/// <param name="StoredBytes">Bytes that this call stored. Others may have stored more, and parts that guests were writing are left alone.</param>
/// <param name="Error">Why the rest is missing; null if nothing failed.</param>
/// <param name="FailedStep">Which half failed, with <paramref name="Error"/>.</param>
internal readonly record struct CopyOutcome(long StoredBytes, Exception? Error, CopyStep FailedStep);
