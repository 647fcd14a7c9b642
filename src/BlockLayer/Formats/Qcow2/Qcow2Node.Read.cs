using BlockLayer.Graph;

namespace BlockLayer.Formats.Qcow2;

// Reads: one run of one kind after the other.
internal sealed partial class Qcow2Node
{
    internal override void ThrowIfNotWithinReach() => _data.ThrowIfNotWithinReach();

    private protected override ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, ReadFlags flags, CancellationToken cancellationToken)
    {
        var at = new GuestOffset(offset);
        return _tables.TryGet(at.Cluster(_geometry), out L2Slice? slice)
            && slice.TryLookup(at, buffer.Length, out ClusterMapping run)
            && run.IsData
            && run.Length == buffer.Length
                ? _data.ReadAsync(run.HostOffset, at, buffer, cancellationToken)
                : ReadSlowAsync(at, buffer, cancellationToken);
    }

    private async ValueTask ReadSlowAsync(GuestOffset at, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        while (!buffer.IsEmpty)
        {
            ClusterMapping run = await LookupAsync(at, buffer.Length).ConfigureAwait(false);
            int length = (int)run.Length;
            await ReadRunAsync(at, run, buffer[..length], cancellationToken).ConfigureAwait(false);
            buffer = buffer[length..];
            at = at.Plus(length);
        }
    }

    private ValueTask ReadRunAsync(GuestOffset at, ClusterMapping run, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        switch (run.Kind)
        {
            case ClusterKind.Data:
                return _data.ReadAsync(run.HostOffset, at, buffer, cancellationToken);
            case ClusterKind.Compressed:
                return ReadCompressedAsync(at, run.Entry.Compressed(_geometry), buffer);
            case ClusterKind.Unallocated when BackingEdge is { } backing:
                return backing.ReadPaddedAsync(at.Value, buffer, cancellationToken);
            default:
                buffer.Span.Clear();
                return ValueTask.CompletedTask;
        }
    }

    /// <summary>The run at a position, its table loaded if need be. Without an L2 table the run ends with what the table would map.</summary>
    private async ValueTask<ClusterMapping> LookupAsync(GuestOffset at, long length)
    {
        GuestCluster cluster = at.Cluster(_geometry);
        L2Slice? slice = await _tables.LoadAsync(cluster).ConfigureAwait(false);
        if (slice is null)
        {
            long toEnd = _geometry.L2TableReach - (at.Value & (_geometry.L2TableReach - 1));
            return new ClusterMapping(ClusterKind.Unallocated, default, Math.Min(length, toEnd), L2Entry.Unallocated);
        }

        return slice.TryLookup(at, length, out ClusterMapping run) ? run : throw FaultAt(slice, cluster);
    }
}
