using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Requests;
using BlockLayer.Storage;

namespace BlockLayer.Filters;

/// <summary>Counts the requests that guests wait for, so that a job that works elsewhere in the chain makes way for them.</summary>
internal sealed class GuestCountNode : FilterNode
{
    private readonly string? _needsLength;

    /// <summary>Puts the filter on a disk's newest image, beside its present users, and takes over the caller's ownership of it; <see cref="FilterInsertion"/> then puts it between.</summary>
    /// <param name="image">The image.</param>
    /// <param name="guestsFirst">The job waits while this many guest requests, or more, are waiting.</param>
    /// <param name="needsLength">The job, if it needs the image to stay as long as it is; for the message of whoever is refused.</param>
    internal GuestCountNode(BlockNode image, int guestsFirst, string? needsLength = null)
        : base(image.NodeName, image, ImagePermissions.None, ImagePermissions.All)
    {
        Guests = new GuestPriority(image.Environment.Time, guestsFirst);
        _needsLength = needsLength;
    }

    /// <inheritdoc/>
    public override string DriverName => "guest-count";

    /// <summary>Guests before background work.</summary>
    internal GuestPriority Guests { get; }

    private protected override ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, ReadFlags flags, CancellationToken cancellationToken)
        => Guests.Counted(base.ReadCoreAsync(offset, buffer, flags, cancellationToken));

    private protected override ValueTask WriteCoreAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
        => Guests.Counted(base.WriteCoreAsync(offset, buffer, flags, cancellationToken));

    private protected override ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
        => Guests.Counted(base.WriteZeroesCoreAsync(offset, length, flags, cancellationToken));

    private protected override ValueTask DiscardCoreAsync(long offset, long length, CancellationToken cancellationToken)
        => Guests.Counted(base.DiscardCoreAsync(offset, length, cancellationToken));

    private protected override ValueTask FlushCoreAsync(CancellationToken cancellationToken) => Guests.Counted(base.FlushCoreAsync(cancellationToken));

    private protected override ValueTask ResizeCoreAsync(long length, ResizeOptions options, CancellationToken cancellationToken)
        => _needsLength is null
            ? base.ResizeCoreAsync(length, options, cancellationToken)
            : throw Error(BlockErrorKind.Conflict, $"'{NodeName}' cannot be resized while {_needsLength} works on it.");
}
