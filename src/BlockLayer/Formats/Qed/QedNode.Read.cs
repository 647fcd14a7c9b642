using BlockLayer.Graph;

namespace BlockLayer.Formats.Qed;

// Reads: stored bytes, zeroes, or what the backing file has there.
internal sealed partial class QedNode
{
    private protected override ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, ReadFlags flags, CancellationToken cancellationToken)
    {
        if (!_tables.TryLookup(offset, buffer.Length, out ClusterMapping mapping) || mapping.Length < buffer.Length)
        {
            return ReadSlowAsync(offset, buffer, flags, cancellationToken);
        }

        return ReadRunAsync(mapping, offset, buffer, flags, cancellationToken);
    }

    private async ValueTask ReadSlowAsync(long offset, Memory<byte> buffer, ReadFlags flags, CancellationToken cancellationToken)
    {
        while (!buffer.IsEmpty)
        {
            ClusterMapping mapping = await _tables.LookupAsync(offset, buffer.Length, cancellationToken).ConfigureAwait(false);
            int length = (int)mapping.Length;
            await ReadRunAsync(mapping, offset, buffer[..length], flags, cancellationToken).ConfigureAwait(false);
            offset += length;
            buffer = buffer[length..];
        }
    }

    private ValueTask ReadRunAsync(ClusterMapping mapping, long offset, Memory<byte> buffer, ReadFlags flags, CancellationToken cancellationToken)
    {
        if (mapping.IsData)
        {
            return _file.ReadAsync(mapping.Host.Value, buffer, cancellationToken);
        }

        if (mapping.Kind == ClusterKind.Unallocated && BackingEdge is { } backing)
        {
            return backing.ReadPaddedAsync(offset, buffer, cancellationToken, flags);
        }

        buffer.Span.Clear();
        return ValueTask.CompletedTask;
    }
}
