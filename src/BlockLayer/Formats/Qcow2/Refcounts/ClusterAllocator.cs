using System.Diagnostics;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Requests;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// Hands out clusters that nobody refers to, and takes back those that lost a reference. Everything here happens under the allocation lock.
/// </summary>
/// <remarks>
/// <code>
///   free --Allocate--> counted once --(published, later dropped) Release--> quarantine --Retire--> counted down, free at 0
///                          '---------- Return (never published) ----------->'
/// </code>
/// A cluster in quarantine keeps its count, so nothing can hand it out; what a guest discarded gives its room back to the file system there. What may leave is decided by <see cref="ClusterReusePolicy"/>; nobody waits for it.
/// </remarks>
internal sealed class ClusterAllocator
{
    private const int MaxGivenBackAtOnce = 256;        // clusters a request to the file system
    private const int MaxRetiredAtOnce = 16 * 1024;    // clusters; the lock is held meanwhile, and the rest has time

    private readonly BlockEdge _file;
    private readonly ClusterGeometry _geometry;
    private readonly RefcountTable _refcounts;
    private readonly MetadataOverlapGuard _guard;
    private readonly RequestGate _gate;
    private readonly ClusterReusePolicy _policy;
    private readonly Quarantine _quarantine = new();
    private readonly Queue<HostCluster> _returned = new(); // never seen by anybody
    private HostCluster _searchFrom; // nothing below it is free
    private HostCluster _freshFrom;  // from here on nothing was ever taken, so nothing was written, not even by a write that failed
    private long _reuseGeneration;   // written under the allocation lock

    /// <summary>An allocator over these counts.</summary>
    /// <param name="file">The image file, to give room back.</param>
    /// <param name="geometry">The image's.</param>
    /// <param name="refcounts">Who is in use.</param>
    /// <param name="guard">Who must not be handed out whatever the counts say.</param>
    /// <param name="gate">Tells who may still see a released cluster.</param>
    /// <param name="policy">When a released cluster is used again.</param>
    internal ClusterAllocator(
        BlockEdge file, ClusterGeometry geometry, RefcountTable refcounts, MetadataOverlapGuard guard, RequestGate gate, ClusterReusePolicy policy)
    {
        _file = file;
        _geometry = geometry;
        _refcounts = refcounts;
        _guard = guard;
        _gate = gate;
        _policy = policy;
        _freshFrom = new HostCluster(geometry.ClustersFor(file.Child.Length));
    }

    /// <summary>Number that a drop gets which the next captured flush makes durable.</summary>
    internal long NextFlush { get; private set; } = 1;

    /// <summary>The newest flush that has completed.</summary>
    internal long DurableFlush { get; private set; }

    /// <summary>Moves on whenever a cluster becomes free, before anything else can be stored in it.</summary>
    internal long ReuseGeneration => Volatile.Read(ref _reuseGeneration);

    /// <summary>True when nothing waits to be counted down.</summary>
    internal bool IsSettled => _quarantine.IsEmpty && _returned.Count == 0;

    /// <summary>Takes up to <paramref name="wanted"/> contiguous clusters, each counted once.</summary>
    /// <returns>At least one cluster; null when the refcount table has no room for more, so that it has to grow first.</returns>
    /// <exception cref="BlockLayerException">Corrupt: what is counted as free holds metadata; NoSpace, Io.</exception>
    internal async ValueTask<HostRun?> AllocateAsync(int wanted)
    {
        await RetireAsync().ConfigureAwait(false);
        HostCluster at = _searchFrom;
        while (at.Index < _refcounts.Reach.Index)
        {
            RefcountPage? page = await _refcounts.LoadPageAsync(at).ConfigureAwait(false);
            if (page is null)
            {
                await _refcounts.CreateBlockAsync(at).ConfigureAwait(false);
                continue;
            }

            if (page.FindFree(at) is { } first)
            {
                HostRun run = TakeRun(page, first, wanted);
                _searchFrom = first.Plus(run.Count);
                return run;
            }

            at = page.End;
        }

        _searchFrom = at;
        return null;
    }

    /// <summary>Takes exactly <paramref name="count"/> contiguous clusters, each counted once: for tables, which are contiguous.</summary>
    /// <returns>Null when the refcount table has no room for them, so that it has to grow first.</returns>
    /// <exception cref="BlockLayerException">Corrupt: what is counted as free holds metadata; NoSpace, Io.</exception>
    internal async ValueTask<HostRun?> AllocateContiguousAsync(int count)
    {
        HostCluster first = _searchFrom;
        for (HostCluster at = first; at.Index < _refcounts.Reach.Index; at = at.Plus(1))
        {
            if (await _refcounts.LoadPageAsync(at).ConfigureAwait(false) is not { } page)
            {
                int index = (int)at.RefcountTableIndex(_geometry);
                if (_refcounts.IsEmptyFrom(index))
                {
                    return await _refcounts.CreateRegionAsync(_refcounts.Table, index, count).ConfigureAwait(false) is { } region ? new HostRun(region, count) : null;
                }

                // A hole in the table, which only other programs leave.
                await _refcounts.CreateBlockAsync(at).ConfigureAwait(false);
                page = (await _refcounts.LoadPageAsync(at).ConfigureAwait(false))!;
            }

            if (page[at] != 0)
            {
                first = at.Plus(1);
            }
            else if (at.Index - first.Index + 1 == count)
            {
                await CountOnceAsync(first, count).ConfigureAwait(false);
                return new HostRun(first, count);
            }
        }

        return null;
    }

    /// <summary>Gives back clusters that were never published: no entry, on disk or in memory, ever led to them.</summary>
    internal void Return(HostRun run)
    {
        for (int i = 0; i < run.Count; i++)
        {
            _returned.Enqueue(run.First.Plus(i));
        }
    }

    /// <summary>Takes back one reference to a cluster; the entry that held it has been changed in memory.</summary>
    internal void Release(HostCluster cluster, ReleasedRoom room) => _quarantine.Add(new ReleasedRun(cluster, 1, NextFlush, _gate.Epoch, room));

    /// <summary>Notes that the file became longer by other means: what lies inside it may hold anything.</summary>
    internal void NoteFileLength(long length) => _freshFrom = new HostCluster(Math.Max(_geometry.ClustersFor(length), _freshFrom.Index));

    /// <summary>Begins a flush: what is released from now on belongs to the one after it.</summary>
    internal long BeginFlush() => NextFlush++;

    /// <summary>Notes that everything captured by a flush is durable.</summary>
    internal void CompleteFlush(long flush) => DurableFlush = Math.Max(DurableFlush, flush);

    /// <summary>Counts down what may leave the quarantine, up to a bound.</summary>
    internal async ValueTask RetireAsync()
    {
        while (_returned.TryPeek(out HostCluster returned))
        {
            await CountDownAsync(returned).ConfigureAwait(false);
            _returned.Dequeue();
        }

        if (!_quarantine.IsEmpty)
        {
            _gate.TryAdvanceEpoch();
        }

        int retired = 0;
        while (retired < MaxRetiredAtOnce && _quarantine.TryPeek(out ReleasedRun released) && _policy.MayReuse(released, DurableFlush, _gate.Epoch))
        {
            int clusters = released.Room == ReleasedRoom.GiveBack ? await GiveBackAsync(released).ConfigureAwait(false) : 1;
            for (int i = 0; i < clusters; i++)
            {
                await CountDownAsync(released.First.Plus(i)).ConfigureAwait(false);
                _quarantine.Remove(1);
            }

            retired += clusters;
        }
    }

    /// <summary>Gives the room of the first clusters of a run back, those that nobody else refers to, while they are still counted. Returns how many were looked at.</summary>
    private async ValueTask<int> GiveBackAsync(ReleasedRun run)
    {
        int most = Math.Min(run.Count, MaxGivenBackAtOnce);
        int clusters = 0;
        while (clusters < most && await _refcounts.GetAsync(run.First.Plus(clusters)).ConfigureAwait(false) == 1)
        {
            clusters++;
        }

        if (clusters == 0)
        {
            return 1; // others still use it
        }

        try
        {
            await _file.DiscardAsync(run.First.Offset(_geometry).Value, (long)clusters << _geometry.ClusterBits, CancellationToken.None).ConfigureAwait(false);
        }
        catch (BlockLayerException)
        {
            // A favour that was refused: the clusters become free all the same, and the flush that pays for this must not fail for it.
        }

        return clusters;
    }

    private async ValueTask CountDownAsync(HostCluster cluster)
    {
        if (await _refcounts.DecrementAsync(cluster).ConfigureAwait(false) == 0)
        {
            _searchFrom = new HostCluster(Math.Min(cluster.Index, _searchFrom.Index));
            _freshFrom = new HostCluster(Math.Max(cluster.Index + 1, _freshFrom.Index));
            _guard.Remove(cluster); // an L2 table that nobody uses any more
            Interlocked.Increment(ref _reuseGeneration);
        }
    }

    private async ValueTask CountOnceAsync(HostCluster first, int count)
    {
        for (int i = 0; i < count; i++)
        {
            HostCluster cluster = first.Plus(i);
            _guard.ThrowIfMetadata(cluster, "The search for free clusters");
            _refcounts.Set((await _refcounts.LoadPageAsync(cluster).ConfigureAwait(false))!, cluster, 1);
        }
    }

    private HostRun TakeRun(RefcountPage page, HostCluster first, int wanted)
    {
        int count = 0;
        for (HostCluster cluster = first; count < wanted && cluster.Index < page.End.Index && page[cluster] == 0; cluster = cluster.Plus(1))
        {
            _guard.ThrowIfMetadata(cluster, "The search for free clusters");
            _refcounts.Set(page, cluster, 1);
            count++;
        }

        Debug.Assert(count > 0, "the first one was free");
        HostOrigin origin = first.Index >= _freshFrom.Index ? HostOrigin.Fresh : HostOrigin.Recycled;
        _freshFrom = new HostCluster(Math.Max(first.Index + count, _freshFrom.Index));
        return new HostRun(first, count, origin);
    }
}
