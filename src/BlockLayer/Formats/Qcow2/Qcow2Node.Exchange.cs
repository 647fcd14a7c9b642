using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

// Tables that are exchanged for others as a whole, by one write of the header.
internal sealed partial class Qcow2Node
{
    private const int MaxDiscardLength = 16 << 20; // bytes a request to the file system

    /// <summary>Drains the node for a change of its tables as a whole.</summary>
    /// <param name="what">As for <see cref="BlockNode.BeginUnclaimedChangeAsync"/>.</param>
    /// <param name="cancellationToken">Honoured while it waits for another change.</param>
    /// <exception cref="BlockLayerException">ReadOnly; Conflict: a job works with the image.</exception>
    private ValueTask<GraphChange> BeginTableChangeAsync(string what, CancellationToken cancellationToken)
        => IsReadOnly
            ? throw Error(BlockErrorKind.ReadOnly, $"'{NodeName}' was opened read-only.")
            : BeginUnclaimedChangeAsync(what, cancellationToken);

    /// <summary>
    /// Builds the next state of the tables, makes it durable, and makes it the image's. The node is drained. What fails before the header is written changes
    /// nothing; whether a write of the header that failed took place is settled before anybody writes again.
    /// </summary>
    /// <param name="build">Fills the draft, with everything of the present state on disk, and tells the rest.</param>
    /// <param name="cancellationToken">Honoured until the header is written.</param>
    private async ValueTask ExchangeTablesAsync(Func<TableDraft, ValueTask<TableExchange>> build, CancellationToken cancellationToken)
    {
        await PrepareToWriteAsync().ConfigureAwait(false);
        await SettleAsync().ConfigureAwait(false);
        TableDraft? draft = null;
        LoadedImage? next = null;
        try
        {
            await _writeBack.RunAloneAsync(async () =>
            {
                draft = await TableDraft.BeginAsync(_file, Header, _geometry, _guard, cancellationToken).ConfigureAwait(false);
                TableExchange exchange = await build(draft).ConfigureAwait(false);
                WordTable refcounts = await draft.WriteRefcountsAsync(exchange.Geometry).ConfigureAwait(false);
                await _file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
                cancellationToken.ThrowIfCancellationRequested();
                _isMapped = false;
                _isPrepared = false;
                await _header.UpdateAsync(header => exchange.Header(header) with
                {
                    L1TableOffset = exchange.L1.Start,
                    L1Size = (uint)exchange.L1.Count,
                    RefcountTableOffset = refcounts.Start,
                    RefcountTableClusters = (uint)_geometry.ClustersFor((long)refcounts.Count * RefcountTableEntry.Size),
                }).ConfigureAwait(false);
                next = new LoadedImage(Header, _header.FirstCluster.ToArray(), exchange.L1, refcounts);
            }).ConfigureAwait(false);
        }
        catch (BlockLayerException error)
        {
            if (_guard.Evidence is not null)
            {
                using AsyncLock.Releaser held = await _allocationLock.EnterAsync(CancellationToken.None).ConfigureAwait(false);
                await MarkCorruptLockedAsync().ConfigureAwait(false);
            }

            if (Path is { } path && error.Path is null)
            {
                throw error.WithPath(path);
            }

            throw;
        }
        finally
        {
            // What the draft wrote lies there, whatever became of it; a write that failed may have made the file longer than anybody knows.
            _allocator.NoteFileLength(Math.Max(_file.Child.Length, draft?.End ?? 0));
        }

        long before = Length;
        Adopt(next!);
        if (Length != before)
        {
            TellParentsOfLength();
        }

        await GiveBackAsync(draft!).ConfigureAwait(false);
    }

    /// <summary>Gives the room of what only the old tables used back to the file system.</summary>
    private async ValueTask GiveBackAsync(TableDraft draft)
    {
        long end = _file.Child.Length;
        try
        {
            foreach (HostRun run in draft.FreedRuns())
            {
                long stop = Math.Min(run.First.Plus(run.Count).Offset(_geometry).Value, end);
                for (long at = run.First.Offset(_geometry).Value; at < stop; at += MaxDiscardLength)
                {
                    await _file.DiscardAsync(at, Math.Min(MaxDiscardLength, stop - at), CancellationToken.None).ConfigureAwait(false);
                }
            }
        }
        catch (BlockLayerException)
        {
            // A favour that was refused: the clusters are free all the same, and what was asked for is done.
        }
    }

    /// <summary>What an exchange makes of an image, besides the refcounts.</summary>
    /// <param name="L1">The L1 table of the disk, written to its place.</param>
    /// <param name="Geometry">The image's geometry from then on.</param>
    /// <param name="Header">Changes the other fields of the header.</param>
    private sealed record TableExchange(WordTable L1, ClusterGeometry Geometry, Func<Qcow2Header, Qcow2Header> Header);
}
