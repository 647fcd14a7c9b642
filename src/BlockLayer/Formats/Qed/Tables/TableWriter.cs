using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qed;

/// <summary>
/// Makes the image durable in an order that a crash may cut anywhere: guest data and the zeroes of new tables first, then the entries that lead to them.
/// </summary>
/// <remarks>
/// <code>
///   header, if a write of it failed before | copy dirty sectors | sync: data, new tables | write L2 and L1 sectors | sync: entries
/// </code>
/// <para>The entries need no order among themselves. An L2 entry without its L1 entry is a leak. An L1 entry without the L2 entries leads to a table of zeroes,
/// which reads as before. What becomes dirty after the copy belongs to the next round: its data may not be durable yet.</para>
/// <para>Rounds run one at a time. Callers that come while one runs share the next one, because that one may have copied before their writes completed. Without
/// anything dirty a flush is the file's flush alone.</para>
/// </remarks>
internal sealed class TableWriter
{
    private readonly HeaderSector _header;
    private readonly BlockEdge _file;
    private readonly MappingTables _tables;
    private readonly SharedRun _rounds;

    /// <summary>Writes back these tables, and before them what a failed change of the header may have left.</summary>
    internal TableWriter(HeaderSector header, BlockEdge file, MappingTables tables)
    {
        _header = header;
        _file = file;
        _tables = tables;
        _rounds = new SharedRun(RunRoundAsync);
    }

    /// <summary>
    /// Makes everything durable that completed before the call. After a failure what was dirty is dirty still, and the next flush tries again.
    /// </summary>
    internal ValueTask FlushAsync(CancellationToken cancellationToken) => _rounds.JoinAsync(cancellationToken);

    /// <summary>Flushes if so much is dirty that the cache could not keep its size otherwise.</summary>
    internal ValueTask FlushIfCrowdedAsync(CancellationToken cancellationToken)
    {
        bool crowded;
        lock (_tables.Lock)
        {
            crowded = _tables.Slices.IsCrowdedLocked;
        }

        return crowded ? FlushAsync(cancellationToken) : ValueTask.CompletedTask;
    }

    private async ValueTask RunRoundAsync()
    {
        await _header.SettleAsync().ConfigureAwait(false);
        var writes = new List<TableWrite>();
        List<(L2Slice Slice, ulong Sectors)> slices;
        int[] l1Sectors;
        lock (_tables.Lock)
        {
            slices = _tables.Slices.TakeDirtyLocked(writes);
            l1Sectors = _tables.L1.TakeDirtyLocked(writes);
        }

        bool written = false;
        try
        {
            await _file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
            await WriteAsync(writes).ConfigureAwait(false);
            written = true;
        }
        finally
        {
            lock (_tables.Lock)
            {
                _tables.Slices.SettleLocked(slices, written);
                if (!written)
                {
                    _tables.L1.MarkDirtyLocked(l1Sectors);
                }
            }
        }
    }

    private async ValueTask WriteAsync(List<TableWrite> writes)
    {
        foreach (TableWrite write in writes)
        {
            await _file.WriteAsync(write.Host.Value, write.Bytes, CancellationToken.None).ConfigureAwait(false);
        }

        if (writes.Count > 0)
        {
            await _file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        }
    }
}
