namespace BlockLayer.Filters;

/// <summary>How a mirror is.</summary>
/// <param name="State">What it does with its destination.</param>
/// <param name="DirtyBytes">Bytes of regions that are written or were not flushed on both sides yet: what a crash now would make the repair copy.</param>
/// <param name="DifferingBytes">Bytes of regions in which the sides may differ although nothing is being written; part of <paramref name="DirtyBytes"/>.</param>
/// <param name="RepairedBytes">Bytes of regions that were copied from the source since the mirror was opened.</param>
/// <param name="DestinationError">Why the destination was given up or, with <see cref="MirrorErrorPolicy.Fail"/>, how it failed first; null if it did not.</param>
public sealed record MirrorStatus(MirrorState State, long DirtyBytes, long DifferingBytes, long RepairedBytes, Exception? DestinationError);
