using System.Diagnostics;
using BlockLayer.Errors;

namespace BlockLayer.Formats.Qcow2;

// L2 tables on demand, and the growth of the tables above them.
internal sealed partial class Qcow2Node
{
    /// <summary>
    /// The slice that maps a guest cluster, pinned, in an L2 table that is ours alone: a missing table is made, one shared with a snapshot is copied. The caller
    /// holds the allocation lock. The one table written here is not guest data; making it under the lock is what keeps two writers from making two.
    /// </summary>
    /// <returns>Null when the refcount table has to grow first.</returns>
    private async ValueTask<L2Slice?> EnsureSliceAsync(GuestCluster cluster)
    {
        L1Entry entry = _tables.L1EntryOf(cluster);
        if (!entry.IsCopied && !await EnsureOwnL2TableAsync(cluster, entry).ConfigureAwait(false))
        {
            return null;
        }

        L2Slice? slice = await _tables.LoadPinnedAsync(cluster).ConfigureAwait(false);
        Debug.Assert(slice is not null, "the table was made");
        return slice;
    }

    private async ValueTask<bool> EnsureOwnL2TableAsync(GuestCluster cluster, L1Entry old)
    {
        int index = (int)cluster.L1Index(_geometry);
        byte[] content = new byte[_geometry.ClusterSize];
        if (old.IsAllocated)
        {
            EntryFault fault = old.Validate(_geometry, _file.Child.Length);
            if (fault.IsFatal())
            {
                throw fault.ToException("L1 table entry", old.Raw, _tables.L1.PositionOf(index));
            }

            await _file.ReadPaddedAsync(old.L2Table.Value, content, CancellationToken.None).ConfigureAwait(false);
        }

        if (await _allocator.AllocateAsync(1).ConfigureAwait(false) is not { } place)
        {
            return false;
        }

        HostOffset table = place.First.Offset(_geometry);
        bool isKnown = false;
        try
        {
            _guard.Add(place.First, MetadataKind.L2Table);
            isKnown = true;
            await _file.WriteAsync(table.Value, content, CancellationToken.None).ConfigureAwait(false);
        }
        catch
        {
            _allocator.Return(place);
            if (isKnown)
            {
                _guard.Remove(place.First);
            }

            throw;
        }

        _tables.L1[index] = L1Entry.ForTable(table).Raw;
        if (old.IsAllocated)
        {
            // A snapshot still has it, so it stays metadata as far as the guard is concerned.
            _allocator.Release(old.L2Table.Cluster(_geometry), ReleasedRoom.Keep);
        }

        return true;
    }

    /// <summary>
    /// Gives the refcount table more room: a copy of it, and the blocks that count it, behind everything in use; durable before the header refers to it; and that
    /// durable before any cluster is used that only the new table reaches.
    /// </summary>
    /// <exception cref="BlockLayerException">NoSpace: it has its largest size.</exception>
    private async ValueTask GrowRefcountTableAsync()
    {
        HostCluster reach = _refcounts.Reach;
        await _writeBack.RunAloneAsync(async () =>
        {
            if (_refcounts.Reach != reach)
            {
                return; // somebody else was faster
            }

            WordTable old = _refcounts.Table;
            WordTable longer = await _refcounts.WriteLongerTableAsync().ConfigureAwait(false);
            int clusters = (int)_geometry.ClustersFor((long)longer.Count * RefcountTableEntry.Size);
            try
            {
                await _file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
                await _header.UpdateAsync(header => header with { RefcountTableOffset = longer.Start, RefcountTableClusters = (uint)clusters }).ConfigureAwait(false);
            }
            catch
            {
                _refcounts.ForgetLongerTable(longer.Start);
                throw;
            }

            _refcounts.ReplaceTable(longer);
            ReturnTable(old.Start, (long)old.Count * RefcountTableEntry.Size);
        }).ConfigureAwait(false);
    }

    /// <summary>Gives back the clusters of a table that the header no longer refers to, durably. Nobody reads it but through the header.</summary>
    private void ReturnTable(HostOffset start, long length)
    {
        _guard.RemoveTable(start);
        _allocator.Return(new HostRun(start.Cluster(_geometry), (int)_geometry.ClustersFor(length)));
    }
}
