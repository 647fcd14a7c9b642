namespace BlockLayer.Images;

/// <summary>A snapshot that was taken: every disk goes on with its overlay.</summary>
/// <param name="Error">
/// What went wrong behind the switch and does not change it, the first of several; null for nothing. An image that has become a backing file could not be made read-only: it is
/// written by nobody, and stays this process's to write, so that others may not read it, until the disk is closed.
/// </param>
public sealed record DiskSnapshotResult(Exception? Error);
