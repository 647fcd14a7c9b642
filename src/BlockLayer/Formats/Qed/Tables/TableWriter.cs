using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qed;

/// <summary>
/// Makes the image durable in an order that a crash may cut anywhere: guest data and the zeroes of new tables first, then the entries that lead to them.
/// </summary>
/// <remarks>
/// <code>
///   copy dirty sectors | sync: data, new tables | write L2 and L1 sectors | sync: entries
/// </code>
/// <para>The entries need no order among themselves. An L2 entry without its L1 entry is a leak. An L1 entry without the L2 entries leads to a table of zeroes,
/// which reads as before. What becomes dirty after the copy belongs to the next round: its data may not be durable yet.</para>
/// <para>Rounds run one at a time. Callers that come while one runs share the next one, because that one may have copied before their writes completed. Without
/// anything dirty a flush is the file's flush alone.</para>
/// </remarks>
internal sealed class TableWriter(BlockEdge file, MappingTables tables)
{
    private readonly Lock _gate = new();
    private Completion? _running; // guarded by _gate: the round that runs now
    private Completion? _next;    // guarded by _gate: the round that starts after it

    /// <summary>
    /// Makes everything durable that completed before the call. After a failure what was dirty is dirty still, and the next flush tries again.
    /// </summary>
    internal ValueTask FlushAsync(CancellationToken cancellationToken)
    {
        Completion mine;
        lock (_gate)
        {
            if (_running is not null)
            {
                _next ??= new Completion();
                return _next.WaitAsync(cancellationToken);
            }

            if (!HasDirty())
            {
                return file.FlushAsync(cancellationToken);
            }

            mine = _running = new Completion();
        }

        ValueTask done = mine.WaitAsync(cancellationToken);
        _ = RunRoundsAsync(mine); // gives its failures to whoever waits
        return done;
    }

    /// <summary>Flushes if so much is dirty that the cache could not keep its size otherwise.</summary>
    internal ValueTask FlushIfCrowdedAsync(CancellationToken cancellationToken)
    {
        bool crowded;
        lock (tables.Lock)
        {
            crowded = tables.Slices.IsCrowdedLocked;
        }

        return crowded ? FlushAsync(cancellationToken) : ValueTask.CompletedTask;
    }

    private bool HasDirty()
    {
        lock (tables.Lock)
        {
            return tables.HasDirtyLocked;
        }
    }

    private async Task RunRoundsAsync(Completion? current)
    {
        while (current is not null)
        {
            Exception? failure = null;
            try
            {
                await RunRoundAsync().ConfigureAwait(false);
            }
            catch (Exception error)
            {
                failure = error;
            }

            Completion finished = current;
            lock (_gate)
            {
                (current, _next) = (_next, null);
                _running = current;
            }

            if (failure is null)
            {
                finished.Complete();
            }
            else
            {
                finished.Fail(failure);
            }
        }
    }

    private async ValueTask RunRoundAsync()
    {
        var writes = new List<TableWrite>();
        List<(L2Slice Slice, ulong Sectors)> slices;
        int[] l1Sectors;
        lock (tables.Lock)
        {
            slices = tables.Slices.TakeDirtyLocked(writes);
            l1Sectors = tables.L1.TakeDirtyLocked(writes);
        }

        bool written = false;
        try
        {
            await file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
            await WriteAsync(writes).ConfigureAwait(false);
            written = true;
        }
        finally
        {
            lock (tables.Lock)
            {
                tables.Slices.SettleLocked(slices, written);
                if (!written)
                {
                    tables.L1.MarkDirtyLocked(l1Sectors);
                }
            }
        }
    }

    private async ValueTask WriteAsync(List<TableWrite> writes)
    {
        foreach (TableWrite write in writes)
        {
            await file.WriteAsync(write.Host.Value, write.Bytes, CancellationToken.None).ConfigureAwait(false);
        }

        if (writes.Count > 0)
        {
            await file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        }
    }
}
