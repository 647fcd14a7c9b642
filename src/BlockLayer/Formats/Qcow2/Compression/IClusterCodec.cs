using BlockLayer.Errors;

namespace BlockLayer.Formats.Qcow2;

/// <summary>Turns clusters into compressed streams and back. Stateless: any number of calls may run at once, on any threads.</summary>
internal interface IClusterCodec
{
    /// <summary>The streams' type as the header names it.</summary>
    CompressionType Type { get; }

    /// <summary>Compresses one cluster.</summary>
    /// <param name="cluster">The whole cluster.</param>
    /// <param name="destination">Room for the stream; at most one byte less than a cluster, since a stream that saves nothing is not worth storing.</param>
    /// <param name="length">Bytes of the stream.</param>
    /// <returns>False when the stream does not fit; <paramref name="destination"/> then holds garbage.</returns>
    bool TryCompress(ReadOnlySpan<byte> cluster, Span<byte> destination, out int length);

    /// <summary>
    /// Fills one cluster from a stream. Bytes behind the stream are ignored, and a stream that goes on when the cluster is full is cut off, as QEMU does.
    /// </summary>
    /// <param name="stream">The stream and perhaps more: a descriptor tells only how many sectors it touches.</param>
    /// <param name="cluster">One whole cluster. Garbage after an error.</param>
    /// <param name="at">Where the stream starts in the file, for the message.</param>
    /// <exception cref="ImageFormatException">Corrupt: the stream is damaged, or ends before the cluster is full.</exception>
    void Decompress(ReadOnlySpan<byte> stream, Span<byte> cluster, HostOffset at);
}
