using System.IO.Compression;

namespace BlockLayer.Formats.Qcow2;

/// <summary>Raw deflate by public means only: our own encoder, whose window readers of qcow2 accept, and the framework's decoder. Slower than <see cref="NativeZlibCodec"/>.</summary>
internal sealed class ManagedZlibCodec : IClusterCodec
{
    /// <inheritdoc/>
    public CompressionType Type => CompressionType.Zlib;

    /// <inheritdoc/>
    public bool TryCompress(ReadOnlySpan<byte> cluster, Span<byte> destination, out int length)
        => DeflateEncoder.TryEncode(cluster, destination, out length);

    /// <inheritdoc/>
    public unsafe void Decompress(ReadOnlySpan<byte> stream, Span<byte> cluster, HostOffset at)
    {
        int filled;
        fixed (byte* source = stream)
        {
            // A pointer to nothing is null, which the stream does not take.
            if (source is null)
            {
                throw ClusterCodecs.Corrupt(at, $"ends {cluster.Length} bytes before the cluster is full");
            }

            using UnmanagedMemoryStream compressed = new(source, stream.Length);
            using DeflateStream inflater = new(compressed, CompressionMode.Decompress);
            try
            {
                filled = inflater.ReadAtLeast(cluster, cluster.Length, throwOnEndOfStream: false);
            }
            catch (InvalidDataException cause)
            {
                throw ClusterCodecs.Corrupt(at, "is not a deflate stream", cause);
            }
        }

        if (filled < cluster.Length)
        {
            throw ClusterCodecs.Corrupt(at, $"ends {cluster.Length - filled} bytes before the cluster is full");
        }
    }
}
