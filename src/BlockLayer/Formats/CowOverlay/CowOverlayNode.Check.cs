using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.CowOverlay;

// What the overlay tells about itself, and whether its files agree.
internal sealed partial class CowOverlayNode
{
    /// <inheritdoc/>
    public ImageDetails GetDetails() => new()
    {
        IsDirty = !IsAllAllocated && _header.Record is { IsClean: false },
        Properties =
        [
            new("image-file", _header.ImageName),
            new("image-file-format", "raw"),
            new("all-allocated", IsAllAllocated),
            new("base-recorded", !IsAllAllocated && _header.KnownBase is not null),
        ],
    };

    /// <inheritdoc/>
    /// <remarks>
    /// Runs drained; what is in memory is flushed first. Data in the image file where a bit is clear is no fault: a write that did not end leaves it, and so does
    /// whoever reserves the room beforehand. Bits that are set where nothing was stored cannot be told from zeroes.
    /// </remarks>
    public async ValueTask<ImageCheckReport> CheckAsync(IProgress<ByteProgress>? progress, CancellationToken cancellationToken)
    {
        using GraphChange change = await BeginChangeAsync(cancellationToken).ConfigureAwait(false);
        await FlushCoreAsync(cancellationToken).ConfigureAwait(false);
        progress?.Report(new ByteProgress(Length, Length)); // nothing is read: the bitmap is in memory
        long total = _bitmapFile.ClustersOf(Length);
        if (_bitmap is null || IsAllAllocated)
        {
            return new ImageCheckReport { Corruptions = 0, Leaks = 0, TotalClusters = total, AllocatedClusters = total, ImageEndOffset = Header.HeaderSize };
        }

        var findings = new List<ImageCheckFinding>();
        bool isCut = _header.Record is { } record && Length < record.ImageLength;
        if (isCut)
        {
            findings.Add(new(
                ImageFaultKind.Corruption,
                $"The image file '{_header.ImageName}' is {Length} bytes long, and was {_header.Record!.ImageLength}: what lay behind is lost."));
        }

        bool isStale = _checksum == ChecksumState.Stale && !_isMarked;
        if (isStale)
        {
            findings.Add(new(
                ImageFaultKind.NotChecked,
                "bitmap is not the one that was left when the overlay was closed: another program has written it, or it is damaged."));
        }

        if (_bitsPastEnd > 0)
        {
            findings.Add(new(ImageFaultKind.Leak, $"bitmap has {_bitsPastEnd} bits set past the end of the disk; they are ignored."));
        }

        return new ImageCheckReport
        {
            Corruptions = isCut ? 1 : 0,
            CheckErrors = isStale ? 1 : 0,
            Leaks = _bitsPastEnd,
            Findings = findings,
            TotalClusters = total,
            AllocatedClusters = _bitmap.CountSet(),
            ImageEndOffset = _bitmapFile.EndFor(Length),
        };
    }
}
