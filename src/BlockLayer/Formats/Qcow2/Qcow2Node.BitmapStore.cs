using System.Diagnostics.CodeAnalysis;
using BlockLayer.Errors;
using BlockLayer.Primitives;
using BlockLayer.Requests;

namespace BlockLayer.Formats.Qcow2;

// How the bitmaps follow the disk: which of them writes are marked in, and when they are stored. The node is drained or closing, or not yet in use.
internal sealed partial class Qcow2Node
{
    private StoredBitmap[] _tracked = []; // those whose Written is attached to this node

    /// <summary>Takes up the bitmaps of an image that was read from disk: when it is opened, and when it was repaired.</summary>
    [MemberNotNull(nameof(_bitmaps))]
    private void TakeUpBitmaps(LoadedImage image)
    {
        _bitmaps = new BitmapStore(_file, image);
        _bitmaps.Use(_header, _geometry, _refcounts, _guard, _allocator, _writeBack);
        TrackWrites();
    }

    /// <summary>
    /// Marks writes in the enabled bitmaps, and in no others. From the open on: the write that makes the image prepare for writing is in them too.
    /// </summary>
    private void TrackWrites()
    {
        StoredBitmap[] tracked = IsReadOnly ? [] : [.. _bitmaps.Bitmaps.Where(static bitmap => bitmap.IsTracked)];
        foreach (StoredBitmap left in _tracked.Except(tracked))
        {
            DetachBitmap(left.Written!);
            left.Written = null;
        }

        foreach (StoredBitmap joined in tracked.Except(_tracked))
        {
            joined.Written = new DirtyBitmap(Length, joined.Entry.GranularityBits);
            AttachBitmap(joined.Written);
        }

        _tracked = tracked;
    }

    private async ValueTask MapMetadataAsync()
    {
        using AsyncLock.Releaser held = await _allocationLock.EnterAsync().ConfigureAwait(false);
        if (_guard.Evidence is { } evidence)
        {
            throw Refusal(evidence);
        }

        await MapMetadataLockedAsync().ConfigureAwait(false);
    }

    /// <summary>What every bitmap is to be when it is stored now: with the bits that were written, and not in use.</summary>
    private async ValueTask<IReadOnlyList<BitmapDraft>> DraftsAsync()
    {
        var drafts = new List<BitmapDraft>();
        foreach (StoredBitmap bitmap in _bitmaps.Bitmaps)
        {
            DirtyBitmap? content = null;
            if (bitmap.IsUsable && bitmap.Written is { IsEmpty: false })
            {
                content = await TryLoadBitmapAsync(bitmap).ConfigureAwait(false);
            }

            drafts.Add(new BitmapDraft(bitmap, bitmap.IsMarked ? bitmap.Entry.WithInUse(false) : bitmap.Entry, content));
        }

        return drafts;
    }

    /// <summary>The bits of a bitmap; null when what is stored is damaged. That one stays in use on disk, which says so.</summary>
    private async ValueTask<DirtyBitmap?> TryLoadBitmapAsync(StoredBitmap bitmap)
    {
        try
        {
            return await _bitmaps.LoadAsync(bitmap, CancellationToken.None).ConfigureAwait(false);
        }
        catch (ImageFormatException)
        {
            bitmap.IsDamaged = true;
            return null;
        }
    }

    /// <summary>Replaces the bitmaps, durably, together with fields of the header.</summary>
    private async ValueTask CommitBitmapsAsync(IReadOnlyList<BitmapDraft> drafts, Func<Qcow2Header, Qcow2Header> fields)
    {
        bool isDone = false;
        while (!isDone)
        {
            await _writeBack.RunAloneAsync(async () => isDone = await _bitmaps.TryCommitLockedAsync(drafts, fields).ConfigureAwait(false)).ConfigureAwait(false);
            if (!isDone)
            {
                await GrowRefcountTableAsync().ConfigureAwait(false);
            }
        }

        TrackWrites();
        _isPrepared = _isPrepared && !_bitmaps.NeedsMark;
    }

    /// <summary>Stores the bitmaps that are in use. If that fails they stay in use on disk, so nobody takes them for complete.</summary>
    private async ValueTask StoreBitmapsAsync()
    {
        if (IsReadOnly || _guard.Evidence is not null || !_bitmaps.IsMarked)
        {
            return;
        }

        try
        {
            await MapMetadataAsync().ConfigureAwait(false);
            await CommitBitmapsAsync(await DraftsAsync().ConfigureAwait(false), static header => header).ConfigureAwait(false);
        }
        catch (BlockLayerException failure)
        {
            throw Error(failure.Kind, $"The bitmaps of '{NodeName}' could not be stored, so those that are enabled are inconsistent now: {failure.Message}", failure.Offset, failure);
        }

        await SettleAsync().ConfigureAwait(false);
    }

    /// <summary>Refuses a resize that a bitmap cannot follow.</summary>
    /// <exception cref="BlockLayerException">Unsupported: there is a bitmap that can only be removed, or one would have too many bits, or none.</exception>
    private void ThrowIfBitmapsCannotFollow(long length)
    {
        foreach (StoredBitmap bitmap in _bitmaps.Bitmaps)
        {
            if (ProblemOf(bitmap) is { } problem)
            {
                throw Error(
                    BlockErrorKind.Unsupported, $"'{NodeName}' cannot be resized while it has the bitmap '{bitmap.Entry.Name}', which cannot be used: {problem}. Remove it first.");
            }

            if (length == 0 || !DirtyBitmap.CanCover(length, bitmap.Entry.GranularityBits))
            {
                throw Error(
                    BlockErrorKind.Unsupported, $"'{NodeName}' cannot be resized to {length} bytes: its bitmap '{bitmap.Entry.Name}' has 1 to {DirtyBitmap.MaxBits} bits, each for {1L << bitmap.Entry.GranularityBits} bytes.");
            }
        }
    }

    /// <summary>Makes a length the disk's, and with the same sector the bitmaps those of such a disk. What is new was not written, so it is not dirty.</summary>
    private async ValueTask CommitLengthAsync(long length)
    {
        if (_bitmaps.Bitmaps.Count == 0)
        {
            await _writeBack.RunAloneAsync(() => _header.UpdateAsync(header => header with { VirtualSize = length })).ConfigureAwait(false);
            return;
        }

        var drafts = new List<BitmapDraft>();
        foreach (BitmapDraft draft in await DraftsAsync().ConfigureAwait(false))
        {
            DirtyBitmap content = draft.Content ?? await LoadBitmapAsync(draft.Source!, CancellationToken.None).ConfigureAwait(false);
            content.Resize(length);
            drafts.Add(draft with { Content = content });
        }

        await CommitBitmapsAsync(drafts, header => header with { VirtualSize = length }).ConfigureAwait(false);
    }
}
