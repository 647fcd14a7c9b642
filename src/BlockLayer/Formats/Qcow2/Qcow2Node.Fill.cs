using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

// Without the lock: the data of an allocation, and what the guest saw before around it.
internal sealed partial class Qcow2Node
{
    /// <summary>Up to here a write and what surrounds it in its clusters are copied into one buffer, to be one request below.</summary>
    private const int MaxMergedLength = 128 * 1024;

    /// <summary>Writes the data, and what the guest saw before in the rest of what is filled: of the first and of the last (sub)cluster.</summary>
    private async ValueTask FillAsync(InFlightAllocation allocation, GuestOffset at, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        GuestOffset start = allocation.FillStart;
        GuestOffset end = allocation.FillEnd;
        HostOffset host = allocation.Host.First.Offset(_geometry).Plus(start.Value - allocation.First.Offset(_geometry).Value);
        GuestOffset dataEnd = at.Plus(data.Length);
        int head = NeedsFill(allocation, start, at) ? (int)(at.Value - start.Value) : 0;
        int tail = NeedsFill(allocation, dataEnd, end) ? (int)(end.Value - dataEnd.Value) : 0;
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

    /// <summary>False when a range, part of one cluster, reads as zeroes for the guest, and does so in the file already.</summary>
    private bool NeedsFill(InFlightAllocation allocation, GuestOffset from, GuestOffset to)
    {
        while (from.Value < to.Value)
        {
            if (!_data.StartsAsZeroes || allocation.Host.Origin != HostOrigin.Fresh || !allocation.Slice.TryLookup(from, to.Value - from.Value, out ClusterMapping run))
            {
                return true;
            }

            bool wasZero = run.IsZero || (!run.IsAllocated && (BackingEdge is not { } backing || backing.Child.Length <= from.Value));
            if (!wasZero)
            {
                return true;
            }

            from = from.Plus(run.Length);
        }

        return false;
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
