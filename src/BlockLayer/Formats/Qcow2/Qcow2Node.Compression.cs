using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

// Compressed clusters.
internal sealed partial class Qcow2Node
{
    private DecompressedCluster? _lastDecompressed; // replaced whole; any thread

    private async ValueTask ReadCompressedAsync(GuestOffset at, CompressedDescriptor stream, Memory<byte> buffer)
    {
        long generation = _allocator.ReuseGeneration; // before the bytes are read
        int inCluster = at.OffsetInCluster(_geometry);
        if (Volatile.Read(ref _lastDecompressed) is { } last && last.Stream == stream && last.Generation == generation)
        {
            last.Content.AsSpan(inCluster, buffer.Length).CopyTo(buffer.Span);
            return;
        }

        IClusterCodec codec = ClusterCodecs.For(Header.Compression);
        using PooledBuffer compressed = Environment.Buffers.Rent(stream.Length);
        await _file.ReadPaddedAsync(stream.Offset.Value, compressed.Memory, CancellationToken.None).ConfigureAwait(false);
        if (buffer.Length == _geometry.ClusterSize)
        {
            codec.Decompress(compressed.Span, buffer.Span, stream.Offset);
            return;
        }

        byte[] content = new byte[_geometry.ClusterSize];
        codec.Decompress(compressed.Span, content, stream.Offset);
        Volatile.Write(ref _lastDecompressed, new DecompressedCluster(stream, generation, content));
        content.AsSpan(inCluster, buffer.Length).CopyTo(buffer.Span);
    }
}
