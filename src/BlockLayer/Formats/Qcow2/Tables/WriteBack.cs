using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// Brings dirty tables to disk in the one order that survives a crash at any moment. A flush is a copy of everything dirty, taken at one moment under
/// the allocation lock, and then up to four rounds, each ended by a sync:
/// </summary>
/// <remarks>
/// <code>
///   1  guest data, new tables, refcounts going up    (data and new tables were written before the copy was taken; the sync is what counts)
///   2  refcount table entries of new blocks
///   3  L2 entries
///   4  L1 entries
/// </code>
/// <para>Why a copy: a mapping that is published after round 1 synced must not be written in round 3, because its data is not durable. It is not in
/// the copy, so it belongs to the next flush. What changed since the copy stays dirty (versions tell), and so does everything when a round fails.</para>
/// <para>Refcounts going down are applied in memory only after the flush that made their drop durable, so they reach the disk in round 1 of a later one.
/// Header fields (round 5) change only through <see cref="HeaderStore"/>, which runs a flush before it and syncs after it.</para>
/// <para>Concurrent flushes share a run only if it starts after both were called.</para>
/// </remarks>
internal sealed class WriteBack
{
    private readonly BlockEdge _file;
    private readonly GuestData _data;
    private readonly HeaderStore _header;
    private readonly AsyncLock _allocationLock;
    private readonly TableCache _tables;
    private readonly RefcountTable _refcounts;
    private readonly ClusterAllocator _allocator;
    private readonly AsyncLock _turn = new(); // outside the allocation lock: one set of rounds at a time
    private readonly SharedRun _runs; // who comes while one is under way shares the next: that one may have taken its copy already

    /// <summary>Writes back these tables.</summary>
    internal WriteBack(BlockEdge file, GuestData data, HeaderStore header, AsyncLock allocationLock, TableCache tables, RefcountTable refcounts, ClusterAllocator allocator)
    {
        _file = file;
        _data = data;
        _header = header;
        _allocationLock = allocationLock;
        _tables = tables;
        _refcounts = refcounts;
        _allocator = allocator;
        _runs = new SharedRun(RunRoundsAsync);
    }

    /// <summary>True when so much is dirty that the next change should wait for a flush. A glance without a lock: early or late by a few is fine.</summary>
    internal bool IsFull => _tables.DirtyCount > _tables.MaxDirty || _refcounts.DirtyCount > _tables.MaxDirty;

    /// <summary>Makes everything durable that completed before the call.</summary>
    internal ValueTask FlushAsync(CancellationToken cancellationToken) => _runs.JoinAsync(cancellationToken);

    /// <summary>
    /// Runs <paramref name="change"/> with everything durable, nobody allocating and no flush under way: for changes of the header and of what it points to. Holds
    /// the allocation lock across I/O, which is why only rare things do it.
    /// </summary>
    internal async ValueTask RunAloneAsync(Func<ValueTask> change)
    {
        using AsyncLock.Releaser turn = await _turn.EnterAsync().ConfigureAwait(false);
        using AsyncLock.Releaser allocation = await _allocationLock.EnterAsync().ConfigureAwait(false);
        await FlushLockedAsync().ConfigureAwait(false);
        await change().ConfigureAwait(false);
    }

    /// <summary>The rounds, for a change inside <see cref="RunAloneAsync"/> that needs what it made so far to be durable.</summary>
    internal async ValueTask FlushLockedAsync()
    {
        Rounds rounds = await CaptureLockedAsync().ConfigureAwait(false);
        await WriteAsync(rounds).ConfigureAwait(false);
        SettleLocked(rounds);
    }

    private async ValueTask RunRoundsAsync()
    {
        using AsyncLock.Releaser turn = await _turn.EnterAsync().ConfigureAwait(false);
        Rounds rounds;
        using (await _allocationLock.EnterAsync().ConfigureAwait(false))
        {
            rounds = await CaptureLockedAsync().ConfigureAwait(false);
        }

        await WriteAsync(rounds).ConfigureAwait(false);
        using (await _allocationLock.EnterAsync().ConfigureAwait(false))
        {
            SettleLocked(rounds);
        }
    }

    private async ValueTask<Rounds> CaptureLockedAsync()
    {
        await _allocator.RetireAsync().ConfigureAwait(false);
        var rounds = new Rounds(_allocator.BeginFlush());
        _refcounts.Capture(rounds.Refcounts);
        _refcounts.Table.Capture(rounds.RefcountTable);
        _tables.Capture(rounds.L2);
        _tables.L1.Capture(rounds.L1);
        return rounds;
    }

    private async ValueTask WriteAsync(Rounds rounds)
    {
        await _header.SettleAsync().ConfigureAwait(false);
        await WriteRoundAsync(rounds.Refcounts).ConfigureAwait(false);
        await _data.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        await _file.FlushAsync(CancellationToken.None).ConfigureAwait(false); // always: guest data
        foreach (List<TableWrite> round in new[] { rounds.RefcountTable, rounds.L2, rounds.L1 })
        {
            if (round.Count > 0)
            {
                await WriteRoundAsync(round).ConfigureAwait(false);
                await _file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
            }
        }
    }

    private async ValueTask WriteRoundAsync(List<TableWrite> round)
    {
        round.Sort(static (left, right) => left.At.Value.CompareTo(right.At.Value));
        foreach (TableWrite write in round)
        {
            await _file.WriteAsync(write.At.Value, write.Bytes, CancellationToken.None).ConfigureAwait(false);
        }
    }

    private void SettleLocked(Rounds rounds)
    {
        foreach (TableWrite write in rounds.Refcounts.Concat(rounds.RefcountTable).Concat(rounds.L2).Concat(rounds.L1))
        {
            write.Source.Written(write.Key, write.Version);
        }

        _allocator.CompleteFlush(rounds.Flush);
    }

    /// <summary>What one flush writes, by round.</summary>
    private sealed record Rounds(long Flush)
    {
        internal List<TableWrite> Refcounts { get; } = [];

        internal List<TableWrite> RefcountTable { get; } = [];

        internal List<TableWrite> L2 { get; } = [];

        internal List<TableWrite> L1 { get; } = [];
    }
}
