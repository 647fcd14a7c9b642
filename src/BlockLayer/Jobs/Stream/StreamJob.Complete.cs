using System.Runtime.ExceptionServices;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Jobs;

// Durable completion: verified, prepared, flushed, recorded, switched, in this order.
public sealed partial class StreamJob
{
    private const int OpenRounds = 3; // passes with guests inside; what they keep busy longer than that is copied while they are held back

    private protected override async Task WorkAsync(CancellationToken cancellationToken)
    {
        if (_options.Cursor is { } cursor)
        {
            await FillNextAsync(cursor, cancellationToken).ConfigureAwait(false);
            return;
        }

        for (int round = 1; ; round++)
        {
            await CopyPassAsync(Origin.Door, All, cancellationToken).ConfigureAwait(false);
            ThrowIfIgnored();
            if (round <= OpenRounds)
            {
                if (await FindLackingAsync(Origin.Door, All, cancellationToken).ConfigureAwait(false) is null)
                {
                    return;
                }
            }
            else if (await CopyWhatIsBusyAsync(All, cancellationToken).ConfigureAwait(false))
            {
                return;
            }
        }
    }

    // So that the flush with guests held back is short.
    private protected override ValueTask PrepareAsync() => EndsEarly ? ValueTask.CompletedTask : _filter!.FlushAsync(CancellationToken.None);

    private protected override async ValueTask CommitAsync()
    {
        if (!EndsEarly)
        {
            await CompleteAsync().ConfigureAwait(false);
        }

        Interlocked.Exchange(ref _cursor, _next ?? Length);
    }

    private async ValueTask CompleteAsync()
    {
        BlockNode? dropped = null;
        try
        {
            using GraphChange change = await GraphChange.BeginAsync(_image, CancellationToken.None).ConfigureAwait(false);
            if (await FindLackingAsync(Origin.Edge, All, CancellationToken.None).ConfigureAwait(false) is not null)
            {
                throw Refusal(BlockErrorKind.Io, $"'{_image.NodeName}' lacks content that was copied into it before.");
            }

            dropped = await SwitchAsync().ConfigureAwait(false);
            await FollowUpAsync(() => GiveBackAsync(change)).ConfigureAwait(false); // within this change: another job may take the image away, as soon as it may
        }
        finally
        {
            if (dropped is not null)
            {
                await CloseUnneededAsync(dropped).ConfigureAwait(false); // closed after the doors are open again
            }
        }
    }

    // Guests have kept it busy for several passes: it is copied while they are held back. True: nothing is lacking now; false: a copy failed, and the job decides.
    private async ValueTask<bool> CopyWhatIsBusyAsync(ByteRange range, CancellationToken cancellationToken)
    {
        using GraphChange change = await GraphChange.BeginAsync(_image, cancellationToken).ConfigureAwait(false);
        await CopyPassAsync(Origin.Edge, range, cancellationToken).ConfigureAwait(false);
        bool complete = await FindLackingAsync(Origin.Edge, range, cancellationToken).ConfigureAwait(false) is null;
        return complete || _ignored is not null || IsToPause
            ? complete
            : throw Refusal(BlockErrorKind.Io, $"'{_image.NodeName}' still lacks content that was copied into it while nobody else used it.");
    }

    // What was ignored is still lacking: the backing file stays, and the job tells its first error.
    private void ThrowIfIgnored()
    {
        if (_ignored is { } error)
        {
            ExceptionDispatchInfo.Throw(error);
        }
    }

    // Where the first lacking byte is; null for nowhere.
    private ValueTask<long?> FindLackingAsync(Origin origin, ByteRange range, CancellationToken cancellationToken)
        => CopiedCheck.FindLackingAsync(origin, _image, _bottom, range, cancellationToken);

    /// <summary>Makes the base the image's backing node, in its file and in the graph. Returns the ownership of the previous one; null if nothing changed.</summary>
    private async ValueTask<BlockNode?> SwitchAsync()
    {
        BlockNode? basis = _bottom.Backing;
        BlockEdge? edge = _image.BackingEdge;
        if (edge is null || (_bottom == _image && _options.BackingName is null))
        {
            return null; // nothing lay between the image and its base
        }

        // Prepared: from here on only the image's own file can fail, and it fails before anything is switched.
        BackingReference? reference = ReferenceTo(basis);
        _image.ThrowIfCannotRecordBacking(reference);
        _claim!.Thaw();
        _image.ThrowIfCannotReplaceChild(edge, basis);

        await ChainUsers.SettleAboveAsync(_image).ConfigureAwait(false);
        await _image.FlushAsync(Origin.Edge, CancellationToken.None).ConfigureAwait(false);
        await _image.RecordBackingAsync(reference, CancellationToken.None).ConfigureAwait(false);

        BlockNode previous = edge.Child;
        if (basis is null)
        {
            previous.AddReference();
            await _image.DetachAsync(edge).ConfigureAwait(false);
        }
        else
        {
            basis.AddReference();
            previous = _image.ReplaceChild(edge, basis);
        }

        return previous;
    }
}
