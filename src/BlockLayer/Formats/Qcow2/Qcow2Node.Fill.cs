using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

// Without the lock: the data of an allocation, and what the guest saw before around it.
internal sealed partial class Qcow2Node
{
    /// <summary>Up to here a write and what surrounds it in its clusters are copied into one buffer, to be one request below.</summary>
    private const int MaxMergedLength = 128 * 1024;

    /// <summary>Writes the data, and what the guest saw before in the rest of the first and the last cluster.</summary>
    private async ValueTask FillAsync(InFlightAllocation allocation, GuestOffset at, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        GuestOffset start = allocation.First.Offset(_geometry);
        GuestOffset end = allocation.End.Offset(_geometry);
        HostOffset host = allocation.Host.First.Offset(_geometry);
        GuestOffset dataEnd = at.Plus(data.Length);
        int head = NeedsFill(allocation, allocation.First) ? (int)(at.Value - start.Value) : 0;
        int tail = NeedsFill(allocation, allocation.End.Plus(-1)) ? (int)(end.Value - dataEnd.Value) : 0;
        HostOffset dataHost = host.Plus(at.Value - start.Value);
        if (head == 0 && tail == 0)
        {
            await _data.WriteAsync(dataHost, at, data, cancellationToken).ConfigureAwait(false);
            return;
        }

        cancellationToken.ThrowIfCancellationRequested();
        bool merged = head + data.Length + tail <= MaxMergedLength;
        using PooledBuffer buffer = Environment.Buffers.Rent(head + tail + (merged ? data.Length : 0));
        Memory<byte> headBytes = buffer.Memory[..head];
        Memory<byte> tailBytes = buffer.Memory[^tail..];
        await ReadOldAsync(start, headBytes).ConfigureAwait(false);
        await ReadOldAsync(dataEnd, tailBytes).ConfigureAwait(false);
        if (merged)
        {
            data.CopyTo(buffer.Memory[head..]);
            await _data.WriteAsync(dataHost.Plus(-head), at.Plus(-head), buffer.Memory, CancellationToken.None).ConfigureAwait(false);
            return;
        }

        await _data.WriteAsync(dataHost, at, data, CancellationToken.None).ConfigureAwait(false);
        if (head > 0)
        {
            await _data.WriteAsync(host, start, headBytes, CancellationToken.None).ConfigureAwait(false);
        }

        if (tail > 0)
        {
            await _data.WriteAsync(dataHost.Plus(data.Length), dataEnd, tailBytes, CancellationToken.None).ConfigureAwait(false);
        }
    }

    /// <summary>False when the rest of a cluster reads as zeroes for the guest, and does so in the file already.</summary>
    private bool NeedsFill(InFlightAllocation allocation, GuestCluster cluster)
    {
        ClusterKind old = allocation.Slice[cluster].Kind;
        bool wasZero = old is ClusterKind.ZeroPlain or ClusterKind.ZeroAllocated
            || (old == ClusterKind.Unallocated && (BackingEdge is not { } backing || backing.Child.Length <= cluster.Offset(_geometry).Value));
        return !(wasZero && allocation.Host.Origin == HostOrigin.Fresh);
    }

    /// <summary>Reads what the guest sees now, with zeroes past the end of the disk.</summary>
    private async ValueTask ReadOldAsync(GuestOffset at, Memory<byte> buffer)
    {
        int present = (int)Math.Clamp(Length - at.Value, 0, buffer.Length);
        buffer.Span[present..].Clear();
        if (present > 0)
        {
            await ReadSlowAsync(at, buffer[..present], CancellationToken.None).ConfigureAwait(false);
        }
    }
}
