namespace BlockLayer.Libvirt;

/// <summary>How a background copy stands at one moment.</summary>
/// <param name="Current">Bytes dealt with, copied or passed over; never goes back.</param>
/// <param name="End">Bytes to deal with.</param>
/// <param name="Result">Null while it runs; then what its callbacks are told.</param>
public readonly record struct BackgroundCopyStatus(long Current, long End, int? Result);
