using System.Diagnostics;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.CowOverlay;

// The image file's length is the disk's, so it changes last when it grows and first when it shrinks.
internal sealed partial class CowOverlayNode
{
    private protected override async ValueTask ResizeCoreAsync(long length, ResizeOptions options, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (_bitmap is null || IsAllAllocated || length == Length)
        {
            await ResizeImageFileAsync(length, options).ConfigureAwait(false);
        }
        else if (length > Length)
        {
            await GrowAsync(length, options).ConfigureAwait(false);
        }
        else
        {
            await ShrinkAsync(length, options).ConfigureAwait(false);
        }
    }

    // Clusters that show for the first time although the backing file has bytes there are marked as stored before they can be seen: until the image file
    // reaches them nobody looks at their bits, and then it is all zeroes.
    private async ValueTask GrowAsync(long length, ResizeOptions options)
    {
        _bitmapFile.ThrowIfTooLarge(length);
        if (BackingEdge is null && BackingReference is { } unopened)
        {
            throw Error(BlockErrorKind.Unsupported, $"'{NodeName}' cannot grow without its backing file {unopened}, which was not opened: it may be longer.");
        }

        long old = Length;
        bool hasGrown = false;
        try
        {
            await _bitmapFile.ExtendAsync(old, length).ConfigureAwait(false);
            _bitmap!.Resize(_bitmapFile.ClustersOf(length));
            await HideBackingAsync(old, length).ConfigureAwait(false);
            await FlushCoreAsync(CancellationToken.None).ConfigureAwait(false);
            await ResizeImageFileAsync(length, options).ConfigureAwait(false);
            hasGrown = true;
        }
        finally
        {
            if (!hasGrown)
            {
                _bitmap!.Resize(_bitmapFile.ClustersOf(Length));
            }
        }
    }

    private async ValueTask HideBackingAsync(long old, long length)
    {
        long hiddenEnd = Math.Min(length, BackingEdge?.Child.Length ?? 0);
        if (hiddenEnd <= old)
        {
            return; // past its end the backing file reads as zeroes already
        }

        long firstNew = Alignment.RoundUp(old, _clusterSize);
        if (firstNew > old && Lookup(old, 1, out bool isStored) > 0 && !isStored)
        {
            await CopyLastClusterUpAsync(firstNew - _clusterSize, old).ConfigureAwait(false);
        }

        long count = Alignment.DivideRoundUp(hiddenEnd, _clusterSize) - (firstNew / _clusterSize);
        if (count > 0)
        {
            lock (_bitmap!.Gate)
            {
                _bitmap.SetLocked(firstNew / _clusterSize, count);
            }
        }
    }

    // The last cluster ends where the disk ends until now; what is added behind is zeroes.
    private async ValueTask CopyLastClusterUpAsync(long start, long end)
    {
        Allocation? allocation = await _allocations!.TryBeginAsync(start / _clusterSize, 1, CancellationToken.None).ConfigureAwait(false);
        Debug.Assert(allocation is not null, "the node is drained, so nobody else fills clusters");
        bool isFilled = false;
        try
        {
            await CopyUpAsync(start, end).ConfigureAwait(false);
            isFilled = true;
        }
        finally
        {
            _allocations.End(allocation, isFilled);
        }
    }

    private async ValueTask ShrinkAsync(long length, ResizeOptions options)
    {
        await FlushCoreAsync(CancellationToken.None).ConfigureAwait(false);
        if (_header.HasRoomForRecord)
        {
            await WriteRecordAsync(NotClean(length)).ConfigureAwait(false); // first: else the file would look as if somebody had cut it
        }

        await ResizeImageFileAsync(length, options).ConfigureAwait(false);
        _bitmap!.Resize(_bitmapFile.ClustersOf(length));
        await _file.ResizeAsync(_bitmapFile.EndFor(length), new ResizeOptions { AllowShrink = true }, CancellationToken.None).ConfigureAwait(false);
    }

    private async ValueTask ResizeImageFileAsync(long length, ResizeOptions options)
    {
        await _image.ResizeAsync(length, options, CancellationToken.None).ConfigureAwait(false);
        await _image.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        SetLength(length);
    }
}
