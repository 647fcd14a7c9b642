using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qed;

// Writes: in place where the cluster holds data, else into new clusters whose other bytes come from what was there.
internal sealed partial class QedNode
{
    private protected override ValueTask WriteCoreAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        bool isHot = _tables.TryLookup(offset, buffer.Length, out ClusterMapping mapping) && mapping.IsData && mapping.Length >= buffer.Length;
        return isHot && !_header.HasStaleAutoclear
            ? _file.WriteAsync(mapping.Host.Value, buffer, cancellationToken)
            : WriteSlowAsync(offset, buffer, cancellationToken);
    }

    private protected override async ValueTask PopulateCoreAsync(long offset, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
    {
        await _header.ClearAutoclearAsync().ConfigureAwait(false);
        while (!buffer.IsEmpty)
        {
            ClusterMapping mapping = await _tables.LookupAsync(offset, buffer.Length, cancellationToken).ConfigureAwait(false);
            int done = mapping.Kind == ClusterKind.Unallocated
                ? await AllocateAndWriteAsync(offset, buffer[..(int)mapping.Length], AllocationTarget.Unallocated, cancellationToken).ConfigureAwait(false)
                : (int)mapping.Length;
            offset += done;
            buffer = buffer[done..];
        }
    }

    private async ValueTask WriteSlowAsync(long offset, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
    {
        await _header.ClearAutoclearAsync().ConfigureAwait(false);
        while (!buffer.IsEmpty)
        {
            ClusterMapping mapping = await _tables.LookupAsync(offset, buffer.Length, cancellationToken).ConfigureAwait(false);
            int done;
            if (mapping.IsData)
            {
                done = (int)mapping.Length;
                await _file.WriteAsync(mapping.Host.Value, buffer[..done], cancellationToken).ConfigureAwait(false);
            }
            else
            {
                // Neighbours that are unallocated and zero can be allocated at once, so all of the rest is offered.
                done = await AllocateAndWriteAsync(offset, buffer, AllocationTarget.WithoutData, cancellationToken).ConfigureAwait(false);
            }

            offset += done;
            buffer = buffer[done..];
            if (done > 0)
            {
                cancellationToken = CancellationToken.None; // bytes were submitted: the request runs to its end
            }
        }
    }

    /// <summary>Writes the start of <paramref name="buffer"/> into new clusters.</summary>
    /// <returns>How many bytes; 0 when the first cluster has to be looked up again.</returns>
    private async ValueTask<int> AllocateAndWriteAsync(
        long offset,
        ReadOnlyMemory<byte> buffer,
        AllocationTarget target,
        CancellationToken cancellationToken)
    {
        await _writer!.FlushIfCrowdedAsync(cancellationToken).ConfigureAwait(false);
        using NeedCheck.Inside inside = await _needCheck!.EnterAsync(cancellationToken).ConfigureAwait(false);
        GuestCluster first = GuestCluster.At(offset, _geometry);
        long limit = GuestCluster.At(offset + buffer.Length - 1, _geometry).Index - first.Index + 1;
        Allocation? allocation = await _allocations!.TryBeginAsync(first, (int)limit, target, cancellationToken).ConfigureAwait(false);
        if (allocation is null)
        {
            return 0;
        }

        int length = (int)Math.Min(buffer.Length, allocation.Range(_geometry).End - offset);
        try
        {
            await StoreAsync(allocation, offset, buffer[..length]).ConfigureAwait(false);
        }
        catch
        {
            _allocations.Abandon(allocation);
            throw;
        }

        _allocations.Publish(allocation);
        return length;
    }

    // Whole clusters are written, so that the file never ends inside one: QEMU takes such a cluster for damage. The clusters at the ends that the data covers
    // in part go through a buffer, what lies between them does not.
    private async ValueTask StoreAsync(Allocation allocation, long offset, ReadOnlyMemory<byte> data)
    {
        ByteRange room = allocation.Range(_geometry);
        long end = offset + data.Length;
        long middle = offset > room.Offset ? room.Offset + _geometry.ClusterSize : room.Offset;
        long tail = end < room.End ? Math.Max(middle, room.End - _geometry.ClusterSize) : room.End;
        await StoreEdgeAsync(allocation, new ByteRange(room.Offset, middle - room.Offset), allocation.FirstWas, offset, data).ConfigureAwait(false);
        if (tail > middle)
        {
            HostOffset host = allocation.Host.Plus(middle - room.Offset);
            await _file.WriteAsync(host.Value, data.Slice((int)(middle - offset), (int)(tail - middle)), CancellationToken.None).ConfigureAwait(false);
        }

        await StoreEdgeAsync(allocation, new ByteRange(tail, room.End - tail), allocation.LastWas, offset, data).ConfigureAwait(false);
    }

    private async ValueTask StoreEdgeAsync(Allocation allocation, ByteRange cluster, ClusterKind was, long offset, ReadOnlyMemory<byte> data)
    {
        while (!cluster.IsEmpty)
        {
            var piece = new ByteRange(cluster.Offset, Math.Min(cluster.Length, QedLimits.CopyPieceLength));
            using PooledBuffer bytes = Environment.Buffers.Rent((int)piece.Length);
            int from = (int)Math.Clamp(offset - piece.Offset, 0, piece.Length);
            int to = (int)Math.Clamp(offset + data.Length - piece.Offset, from, piece.Length);
            await ReadBehindAsync(was, piece.Offset, bytes.Memory[..from]).ConfigureAwait(false);
            data.Span.Slice((int)(piece.Offset + from - offset), to - from).CopyTo(bytes.Span[from..]);
            await ReadBehindAsync(was, piece.Offset + to, bytes.Memory[to..]).ConfigureAwait(false);

            HostOffset host = allocation.Host.Plus(piece.Offset - allocation.First.Offset(_geometry));
            await _file.WriteAsync(host.Value, bytes.Memory, CancellationToken.None).ConfigureAwait(false);
            cluster = new ByteRange(piece.End, cluster.End - piece.End);
        }
    }

    // What a cluster without data reads as. Past the end of the disk that is zeroes, although a longer backing file has bytes there: they would appear when
    // the disk grows.
    private ValueTask ReadBehindAsync(ClusterKind was, long offset, Memory<byte> buffer)
    {
        BlockEdge? backing = was == ClusterKind.Unallocated ? BackingEdge : null;
        int visible = backing is null ? 0 : (int)Math.Clamp(Length - offset, 0, buffer.Length);
        buffer.Span[visible..].Clear();
        return visible == 0 ? ValueTask.CompletedTask : backing!.ReadPaddedAsync(offset, buffer[..visible], CancellationToken.None);
    }
}
