using System.Runtime.ExceptionServices;
using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Graph;

namespace BlockLayer.Jobs;

// Durable completion: verified, prepared, flushed, recorded, switched, in this order.
public sealed partial class StreamJob
{
    private const int OpenRounds = 3; // passes with guests inside; what they keep busy longer than that is copied while they are held back

    private async ValueTask CompleteAsync(CancellationToken cancellationToken)
    {
        ThrowIfIgnored();
        BlockNode? dropped;
        for (int round = 1; ; round++)
        {
            await _filter!.FlushAsync(cancellationToken).ConfigureAwait(false); // so that the flush with guests held back is short
            using (GraphChange change = await GraphChange.BeginAsync(_image, cancellationToken).ConfigureAwait(false))
            {
                if (round > OpenRounds)
                {
                    await CopyPassAsync(Origin.Edge, cancellationToken).ConfigureAwait(false);
                }

                if (await IsCompleteAsync(cancellationToken).ConfigureAwait(false))
                {
                    BeginFinishing();
                    dropped = await SwitchAsync().ConfigureAwait(false);
                    break;
                }

                if (round > OpenRounds && _ignored is null && !IsToPause)
                {
                    throw Refusal(BlockErrorKind.Io, $"'{_image.NodeName}' still lacks content that was copied into it while nobody else used it.");
                }
            }

            await CopyPassAsync(Origin.Door, cancellationToken).ConfigureAwait(false);
            ThrowIfIgnored();
        }

        if (dropped is not null)
        {
            await dropped.DisposeAsync().ConfigureAwait(false);
        }
    }

    // What was ignored is still lacking: the backing file stays, and the job tells its first error.
    private void ThrowIfIgnored()
    {
        if (_ignored is { } error)
        {
            ExceptionDispatchInfo.Throw(error);
        }
    }

    // Nobody is inside: the answer stays true until the doors open.
    private async ValueTask<bool> IsCompleteAsync(CancellationToken cancellationToken)
    {
        for (long at = 0; at < End;)
        {
            BlockStatus status = await BackingChain.GetStatusAsync(Origin.Edge, _image, _bottom, at, End - at, cancellationToken).ConfigureAwait(false);
            if (CopyPlan.IsLacking(status))
            {
                return false;
            }

            at += status.Length;
        }

        return true;
    }

    /// <summary>Makes the base the image's backing node, in its file and in the graph. Returns the ownership of the previous one; null if nothing changed.</summary>
    private async ValueTask<BlockNode?> SwitchAsync()
    {
        BlockNode? basis = _bottom.Backing;
        BlockEdge? edge = _image.BackingEdge;
        if (edge is null || (_bottom == _image && _options.BackingName is null))
        {
            await RemoveFilterAsync().ConfigureAwait(false);
            return null; // nothing lay between the image and its base
        }

        // Prepared: from here on only the image's own file can fail, and it fails before anything is switched.
        BackingReference? reference = ReferenceTo(basis);
        _image.ThrowIfCannotRecordBacking(reference);
        _claim!.Thaw();
        _image.ThrowIfCannotReplaceChild(edge, basis);

        await _image.FlushAsync(Origin.Edge, CancellationToken.None).ConfigureAwait(false);
        await _image.RecordBackingAsync(reference, CancellationToken.None).ConfigureAwait(false);

        BlockNode previous = edge.Child;
        if (basis is null)
        {
            previous.AddReference(); // closed after the doors are open again
            await _image.DetachAsync(edge).ConfigureAwait(false);
        }
        else
        {
            basis.AddReference();
            previous = _image.ReplaceChild(edge, basis);
        }

        await RemoveFilterAsync().ConfigureAwait(false);
        return previous;
    }
}
