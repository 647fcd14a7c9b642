using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qed;

/// <summary>
/// The allocations in flight, by guest cluster, and the L2 tables in flight, by L1 index. Whoever meets one waits until it is over and looks up again: so two
/// writes never allocate the same cluster, and a copy from below never lands on guest data.
/// </summary>
/// <remarks>
/// <code>
///   lookup: no data --TryBegin--> in flight --Publish--> data
///                                    '-------Abandon--> as before; the host clusters are taken back
/// </code>
/// Recorded under the mapping lock before any I/O, removed under it when published. All I/O happens without the lock.
/// </remarks>
internal sealed class ClusterAllocations
{
    private readonly BlockEdge _file;
    private readonly MappingTables _tables;
    private readonly HostAllocator _hosts;
    private readonly List<Allocation> _inFlight = [];                // guarded by the mapping lock
    private readonly Dictionary<int, Completion> _newTables = [];    // guarded by the mapping lock

    internal ClusterAllocations(BlockEdge file, MappingTables tables)
    {
        _file = file;
        _tables = tables;
        _hosts = new HostAllocator(tables.Geometry, file.Child.Length);
    }

    /// <summary>Takes guest clusters from <paramref name="first"/> on, as many as follow each other in one slice and are free to be taken.</summary>
    /// <param name="first">The first cluster wanted.</param>
    /// <param name="limit">How many at most.</param>
    /// <param name="target">Which clusters may be taken.</param>
    /// <param name="cancellationToken">Honoured while this waits.</param>
    /// <returns>Null when the first cluster cannot be taken as it is now: look it up again.</returns>
    /// <exception cref="Errors.BlockLayerException">Io, NoSpace, Corrupt.</exception>
    internal async ValueTask<Allocation?> TryBeginAsync(GuestCluster first, int limit, AllocationTarget target, CancellationToken cancellationToken)
    {
        L2Slice slice = await EnsureSliceAsync(first, cancellationToken).ConfigureAwait(false);
        Completion meeting;
        lock (_tables.Lock)
        {
            if (!_tables.Slices.IsCurrentLocked(slice))
            {
                return null;
            }

            if (FindLocked(first) is not { } other)
            {
                return BeginLocked(slice, first, limit, target);
            }

            meeting = other.Done;
        }

        await meeting.WaitAsync(cancellationToken).ConfigureAwait(false);
        return null;
    }

    /// <summary>Makes clusters whose bytes are all written visible to readers, and lets whoever waits go on.</summary>
    internal void Publish(Allocation allocation)
    {
        QedGeometry g = _tables.Geometry;
        lock (_tables.Lock)
        {
            for (int i = 0; i < allocation.Count; i++)
            {
                L2Entry entry = L2Entry.Data(allocation.Host.Plus((long)i << g.ClusterBits));
                _tables.Slices.PublishLocked(allocation.Slice, allocation.First.IndexInSlice(g) + i, entry);
            }

            EndLocked(allocation);
        }

        allocation.Done.Complete();
    }

    /// <summary>Gives up clusters that could not be written; nothing below writes to them any more.</summary>
    internal void Abandon(Allocation allocation)
    {
        lock (_tables.Lock)
        {
            _hosts.ReturnLocked(allocation.Host, allocation.Count);
            EndLocked(allocation);
        }

        allocation.Done.Complete();
    }

    /// <summary>Makes clusters read as zeroes without storing any, as many from <paramref name="first"/> on as can be taken in one slice.</summary>
    /// <returns>How many were made so or were already; 0 when the first cluster has to be looked up again.</returns>
    internal async ValueTask<int> MarkZeroAsync(GuestCluster first, int limit, AllocationTarget target, CancellationToken cancellationToken)
    {
        L2Slice slice = await EnsureSliceAsync(first, cancellationToken).ConfigureAwait(false);
        Completion meeting;
        lock (_tables.Lock)
        {
            if (!_tables.Slices.IsCurrentLocked(slice))
            {
                return 0;
            }

            if (FindLocked(first) is not { } other)
            {
                int count = CountTakeableLocked(slice, first, limit, target);
                int index = first.IndexInSlice(_tables.Geometry);
                for (int i = index; i < index + count; i++)
                {
                    if (slice[i].Kind == ClusterKind.Unallocated)
                    {
                        _tables.Slices.PublishLocked(slice, i, L2Entry.Zero);
                    }
                }

                return count;
            }

            meeting = other.Done;
        }

        await meeting.WaitAsync(cancellationToken).ConfigureAwait(false);
        return 0;
    }

    private async ValueTask<L2Slice> EnsureSliceAsync(GuestCluster cluster, CancellationToken cancellationToken)
    {
        await EnsureTableAsync(cluster.L1Index(_tables.Geometry), cancellationToken).ConfigureAwait(false);
        return await _tables.LoadAsync(cluster, cancellationToken).ConfigureAwait(false);
    }

    private async ValueTask EnsureTableAsync(int l1Index, CancellationToken cancellationToken)
    {
        while (_tables.L1[l1Index].Value == 0)
        {
            Completion? making;
            lock (_tables.Lock)
            {
                if (_tables.L1[l1Index].Value != 0)
                {
                    return;
                }

                if (!_newTables.TryGetValue(l1Index, out making))
                {
                    _newTables.Add(l1Index, new Completion());
                }
            }

            if (making is null)
            {
                await MakeTableAsync(l1Index).ConfigureAwait(false);
                return;
            }

            await making.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    // Others may wait for this, so it does not run under the token of the caller that came first.
    private async ValueTask MakeTableAsync(int l1Index)
    {
        QedGeometry g = _tables.Geometry;
        HostOffset host;
        lock (_tables.Lock)
        {
            host = _hosts.TakeLocked(g.TableSize);
        }

        bool zeroed = false;
        try
        {
            await _file.WriteZeroesAsync(host.Value, g.TableLength, ZeroFlags.MayUnmap, CancellationToken.None).ConfigureAwait(false);
            zeroed = true;
        }
        finally
        {
            Completion? made;
            lock (_tables.Lock)
            {
                if (zeroed)
                {
                    _tables.L1.PublishLocked(l1Index, host);
                }
                else
                {
                    _hosts.ReturnLocked(host, g.TableSize);
                }

                _newTables.Remove(l1Index, out made);
            }

            made!.Complete();
        }
    }

    private Allocation? BeginLocked(L2Slice slice, GuestCluster first, int limit, AllocationTarget target)
    {
        int count = CountTakeableLocked(slice, first, limit, target);
        if (count == 0)
        {
            return null;
        }

        int index = first.IndexInSlice(_tables.Geometry);
        var allocation = new Allocation
        {
            First = first,
            Count = count,
            Host = _hosts.TakeLocked(count),
            Slice = slice,
            FirstWas = slice[index].Kind,
            LastWas = slice[index + count - 1].Kind,
        };
        slice.Pins++;
        _inFlight.Add(allocation);
        return allocation;
    }

    private void EndLocked(Allocation allocation)
    {
        allocation.Slice.Pins--;
        _inFlight.Remove(allocation);
    }

    private int CountTakeableLocked(L2Slice slice, GuestCluster first, int limit, AllocationTarget target)
    {
        int index = first.IndexInSlice(_tables.Geometry);
        limit = Math.Min(limit, _tables.Geometry.SliceEntries - index);
        int count = 0;
        while (count < limit && IsTakeable(slice, index + count, target) && (count == 0 || FindLocked(first.Plus(count)) is null))
        {
            count++;
        }

        return count;
    }

    private static bool IsTakeable(L2Slice slice, int index, AllocationTarget target)
        => !slice.IsBad(index) && slice[index].Kind is ClusterKind kind
            && (kind == ClusterKind.Unallocated || (kind == ClusterKind.Zero && target == AllocationTarget.WithoutData));

    // As many are in flight as there are allocating requests: few enough to look at each.
    private Allocation? FindLocked(GuestCluster cluster)
    {
        foreach (Allocation allocation in _inFlight)
        {
            if (allocation.Contains(cluster))
            {
                return allocation;
            }
        }

        return null;
    }
}
