using BlockLayer.Graph;

namespace BlockLayer.Jobs;

// Durable completion: prepared, flushed, recorded, switched, in this order.
public sealed partial class CommitJob
{
    // So that the flush with guests held back is short.
    private protected override ValueTask PrepareAsync() => _filter!.FlushAsync(CancellationToken.None);

    private protected override async ValueTask CommitAsync()
    {
        var dropped = new List<BlockNode>();
        try
        {
            using GraphChange change = await GraphChange.BeginAsync(_base, CancellationToken.None).ConfigureAwait(false);
            try
            {
                await _filter!.FlushDrainedAsync().ConfigureAwait(false);
                await ChainUsers.SettleAboveAsync(_top).ConfigureAwait(false);
                await RemoveFilterAsync().ConfigureAwait(false); // nothing is written any more, and what stands on the top needs a base that nobody writes
                await FollowUpAsync(RemoveGuestsAsync).ConfigureAwait(false); // a newest image that a mirror has left stays open below it, and so do images that a pull has taken out since
                foreach (BlockEdge link in ChainUsers.LinksTo(_top))
                {
                    dropped.Add(await SwitchAsync(change, link).ConfigureAwait(false));
                }
            }
            finally
            {
                await FollowUpAsync(() => GiveBackAsync(change)).ConfigureAwait(false); // within this change: another job may take away what was used, as soon as it may
            }
        }
        finally
        {
            foreach (BlockNode top in dropped)
            {
                await CloseUnneededAsync(top).ConfigureAwait(false); // closed after the doors are open again
            }
        }
    }

    // Makes the base what stands below a link to the top, in the files of the overlays and then in the graph. A failure leaves both as they were. Returns the
    // ownership of the top that the link had.
    private async ValueTask<BlockNode> SwitchAsync(GraphChange change, BlockEdge link)
    {
        foreach (BlockNode overlay in ChainUsers.UsersBy(link))
        {
            _writable.Add(await NodeReopen.MakeWritableAsync(change, overlay, CancellationToken.None).ConfigureAwait(false));
            BackingReference reference = ReferenceFor(overlay);
            overlay.ThrowIfCannotRecordBacking(reference);
            link.Parent.ThrowIfCannotReplaceChild(link, _base);
            await overlay.RecordBackingAsync(reference, CancellationToken.None).ConfigureAwait(false);
        }

        _base.AddReference();
        return link.Parent is FilterNode filter ? filter.Refilter(_base) : link.Parent.ReplaceChild(link, _base);
    }
}
