using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.CowOverlay;

// Which backing file is recorded, and the end of needing one.
internal sealed partial class CowOverlayNode
{
    internal override bool IsHeaderUncertain => _header.IsUncertain;

    internal override void ThrowIfCannotRecordBacking(BackingReference? reference)
    {
        if (reference is not null && IsAllAllocated)
        {
            throw Error(BlockErrorKind.Unsupported, $"All of '{NodeName}' is in its image file '{_header.ImageName}'; a backing file would never be read.");
        }

        if (reference?.Name == _header.ImageName)
        {
            throw Error(BlockErrorKind.Unsupported, $"'{reference.Name}' is the image file of '{NodeName}' and cannot be its backing file.");
        }

        _header.ThrowIfCannotRecord(reference);
    }

    /// <inheritdoc/>
    /// <remarks>
    /// Where no backing file is recorded any more and every bit is set, durably, the same sector says that the image file is the whole disk: a pull without a
    /// base ends with a raw disk that needs nothing else.
    /// </remarks>
    internal override async ValueTask RecordBackingAsync(BackingReference? reference, CancellationToken cancellationToken)
    {
        ThrowIfReadOnly("record a backing file");
        ThrowIfCannotRecordBacking(reference);
        cancellationToken.ThrowIfCancellationRequested();
        await FlushCoreAsync(CancellationToken.None).ConfigureAwait(false);
        bool isComplete = reference is null && _bitmap is { IsFull: true };
        (_base, _formerBacking, _isBaseForgotten) = (null, BackingEdge?.Child.SkipFilters(), true);
        if (_header.Record is { Base: not null } record)
        {
            // First, because the new name may be the old one. Until the switch the base is only taken on trust.
            await _header.WriteRecordAsync(record with { Base = null }).ConfigureAwait(false);
        }

        await _header.RecordBackingAsync(reference, isComplete ? CompatibleFeatures.AllAllocated : CompatibleFeatures.None).ConfigureAwait(false);
        if (isComplete)
        {
            Volatile.Write(ref _isAllAllocated, true);
        }
    }

    /// <inheritdoc/>
    public async ValueTask FinishAsync(CancellationToken cancellationToken)
    {
        ThrowIfReadOnly("be finished");
        BlockNode? dropped = null;
        using (GraphChange change = await BeginChangeAsync(cancellationToken).ConfigureAwait(false))
        {
            if (IsAllAllocated)
            {
                return;
            }

            if (BackingReference is { } reference && !_bitmap!.IsFull)
            {
                throw Error(
                    BlockErrorKind.Unsupported,
                    $"{_bitmap.Clusters - _bitmap.CountSet()} of {_bitmap.Clusters} clusters of '{NodeName}' are still in its backing file {reference}; pull them first.");
            }

            BlockEdge? edge = BackingEdge;
            if (edge is not null)
            {
                ThrowIfCannotReplaceChild(edge, replacement: null);
            }

            await StoreNeverWrittenAsync(cancellationToken).ConfigureAwait(false);
            await RecordBackingAsync(reference: null, CancellationToken.None).ConfigureAwait(false);
            if (edge is not null)
            {
                dropped = edge.Child;
                dropped.AddReference(); // closed after the doors are open again
                await DetachAsync(edge).ConfigureAwait(false);
            }
        }

        if (dropped is not null)
        {
            await dropped.DisposeAsync().ConfigureAwait(false);
        }
    }

    // The image file may hold anything where the bit is clear, and is about to be read there.
    private async ValueTask StoreNeverWrittenAsync(CancellationToken cancellationToken)
    {
        for (long at = 0; at < Length;)
        {
            long length = Lookup(at, Length - at, out bool isStored);
            if (!isStored)
            {
                await FillAsync(new ByteRange(at, length), new Filling(ZeroFlags.MayUnmap), cancellationToken).ConfigureAwait(false);
            }

            at += length;
        }
    }

    private void ThrowIfReadOnly(string what)
    {
        if (IsReadOnly)
        {
            throw Error(BlockErrorKind.ReadOnly, $"'{NodeName}' is open read-only and cannot {what}.");
        }
    }
}
