using BlockLayer.Errors;
using BlockLayer.Graph;

namespace BlockLayer.Formats.CowOverlay;

// Our record: what the base was, whether the bitmap is as it was left, how long the image file was.
internal sealed partial class CowOverlayNode
{
    private BaseIdentity? _base;       // of the backing node below; null while that is not known
    private BlockNode? _formerBacking; // what stood below when another reference was recorded; not what that one names
    private bool _isBaseForgotten;     // another reference was recorded, or the base is written by a job, and what it holds is not known yet
    private bool _isMarked;            // set by the first run of the write-back that writes bits: the record on disk says "not clean"

    /// <inheritdoc/>
    /// <remarks>Without a recorded identity the base is taken as it is, and recorded by the first flush that writes bits.</remarks>
    public async ValueTask VerifyBackingAsync(BlockNode backing, CancellationToken cancellationToken)
    {
        BaseIdentity? known = _header.KnownBase;
        if (IsAllAllocated || (known is null && IsReadOnly))
        {
            return;
        }

        BaseIdentity found = await BaseIdentity.OfAsync(backing, cancellationToken).ConfigureAwait(false);
        if (known is not null && known != found)
        {
            string what = known.Length == found.Length
                ? "its content is another"
                : $"it is {found.Length} bytes long, and that was {known.Length}";
            throw Error(
                BlockErrorKind.InvalidFormat,
                $"'{backing.NodeName}' is not the backing file that '{NodeName}' was written over: {what}. Put the original back; "
                + "clusters that were never written to the overlay exist nowhere else.");
        }

        _base = found;
    }

    /// <inheritdoc/>
    public async ValueTask ForgetBackingAsync()
    {
        if (IsAllAllocated)
        {
            return;
        }

        await FlushCoreAsync(CancellationToken.None).ConfigureAwait(false);
        (_base, _formerBacking, _isBaseForgotten) = (null, null, true);
        if (_header.Record is { Base: not null } record)
        {
            await _header.WriteRecordAsync(record with { Base = null }).ConfigureAwait(false);
        }
    }

    private ChecksumState JudgeBitmap() => _header.Record switch
    {
        null => ChecksumState.None,
        { IsClean: false } => ChecksumState.NotClosed,
        { BitmapChecksum: var left } when left == _bitmap!.Checksum() => ChecksumState.Valid,
        _ => ChecksumState.Stale,
    };

    // A file that was cut has lost data, which only its old length can tell. Reading what is left does no harm.
    private void ThrowIfImageWasCut()
    {
        if (!IsReadOnly && _header.Record is { } record && Length < record.ImageLength)
        {
            throw Error(
                BlockErrorKind.Corrupt,
                $"The image file '{_header.ImageName}' of '{NodeName}' is {Length} bytes long, and was {record.ImageLength}: it was cut, or is another file. "
                + "Put the original back; as it is, the overlay can only be read.");
        }
    }

    private OverlayRecord NotClean(long imageLength) => new()
    {
        ImageLength = imageLength,
        Base = _base ?? _header.KnownBase,
        NamesHash = _header.NamesHash,
    };

    // Called by the write-back, one run at a time, before bits are written.
    private async ValueTask MarkNotCleanAsync()
    {
        if (!_isMarked && _header.HasRoomForRecord)
        {
            await WriteRecordAsync(NotClean(Length)).ConfigureAwait(false);
        }
    }

    private async ValueTask WriteRecordAsync(OverlayRecord record)
    {
        await _header.WriteRecordAsync(record).ConfigureAwait(false);
        _isMarked = !record.IsClean;
    }

    // A record that says nothing of the bitmap, or something false, is written anew even if no guest wrote: this is the recovery after a crash, and after
    // another program.
    private async ValueTask CloseCleanlyAsync()
    {
        await FlushCoreAsync(CancellationToken.None).ConfigureAwait(false);
        bool isOutdated = _isMarked || _isBaseForgotten || _checksum is ChecksumState.NotClosed or ChecksumState.Stale;
        if (_bitmap is null || IsAllAllocated || !isOutdated || !_header.HasRoomForRecord)
        {
            return;
        }

        await WriteRecordAsync(new OverlayRecord
        {
            IsClean = true,
            ImageLength = Length,
            Base = _base ?? _header.KnownBase ?? await SampleNewBackingAsync().ConfigureAwait(false),
            NamesHash = _header.NamesHash,
            BitmapChecksum = _bitmap.Checksum(),
        }).ConfigureAwait(false);
        (_checksum, _isBaseForgotten) = (ChecksumState.Valid, false);
    }

    // A job that recorded another backing file has put it below since, or has written into what is there: what that shows has to be durable before it is noted, else a crash,
    // or a flush that fails, leaves a base that the overlay refuses. One that cannot be flushed or read stays unknown: it is below, so nothing is lost by not knowing
    // it, and an overlay has to be closed whatever state its base is in.
    private async ValueTask<BaseIdentity?> SampleNewBackingAsync()
    {
        if (BackingEdge?.Child is not { } backing || backing.SkipFilters() == _formerBacking)
        {
            return null;
        }

        try
        {
            foreach (BlockNode image in BackingChain.Images(backing))
            {
                await image.FlushAsync(Origin.Edge, CancellationToken.None).ConfigureAwait(false);
            }

            return await BaseIdentity.OfAsync(backing, CancellationToken.None).ConfigureAwait(false);
        }
        catch (BlockLayerException)
        {
            return null;
        }
    }
}
