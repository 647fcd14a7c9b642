namespace BlockLayer.Libvirt;

/// <summary>A job on a disk is ready or has ended: one event here, told by libvirt's two kinds of callbacks under two names of the disk.</summary>
/// <param name="Domain">Whose disk it is.</param>
/// <param name="Target">The disk by its target, which outlives a pivot: what <see cref="DomainEventId.BlockJob2"/> tells.</param>
/// <param name="Path">The disk by the path of its active image, as it is after the job: what <see cref="DomainEventId.BlockJob"/> tells. Null for none.</param>
/// <param name="Type">What the job did.</param>
/// <param name="Status">What became of it.</param>
public sealed record BlockJobEvent(Domain Domain, string Target, string? Path, BlockJobType Type, BlockJobStatus Status) : DomainEvent(Domain)
{
    /// <summary>
    /// Why the job failed. Of one that did not fail, what went wrong and does not change that, the first of several: an image that is not needed any more could not be closed, or a file could not be
    /// deleted that a commit was to delete. Null for nothing. libvirt's callbacks are not told this.
    /// </summary>
    public LibvirtError? Error { get; init; }
}
