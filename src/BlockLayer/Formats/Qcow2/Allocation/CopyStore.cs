namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// How copies from the backing chain are stored. There is one right way, <see cref="Safe"/>; it is an object so that a test can put a wrong one in its place and see
/// that the simulations notice.
/// </summary>
internal abstract class CopyStore
{
    /// <summary>Only where nothing is allocated, which is looked at again under the allocation lock: whatever a guest has written meanwhile is newer.</summary>
    internal static CopyStore Safe { get; } = new WhereNothingIs();

    /// <summary>Stores a copy of whole clusters, or up to the end of the disk, in an image that was entered.</summary>
    internal abstract ValueTask StoreAsync(Qcow2Node image, long offset, ReadOnlyMemory<byte> copy, CancellationToken cancellationToken);

    private sealed class WhereNothingIs : CopyStore
    {
        internal override ValueTask StoreAsync(Qcow2Node image, long offset, ReadOnlyMemory<byte> copy, CancellationToken cancellationToken)
            => image.StoreWhereNothingIsAsync(offset, copy, cancellationToken);
    }
}
