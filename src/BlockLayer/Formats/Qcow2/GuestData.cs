using BlockLayer.Graph;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// Where the plain data clusters of an image lie. Everything the guest stored uncompressed goes through here; tables, and compressed streams, do not.
/// </summary>
/// <remarks>Both positions of each piece are given, because what happens to the bytes on the way may depend on either.</remarks>
internal sealed class GuestData(BlockEdge file)
{
    /// <summary>Reads what is stored at <paramref name="host"/>, zeroes past the end: a file may end inside its last cluster.</summary>
    internal ValueTask ReadAsync(HostOffset host, GuestOffset guest, Memory<byte> buffer, CancellationToken cancellationToken)
        => file.ReadPaddedAsync(host.Value, buffer, cancellationToken);

    /// <summary>Stores <paramref name="buffer"/> at <paramref name="host"/>.</summary>
    internal ValueTask WriteAsync(HostOffset host, GuestOffset guest, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
        => file.WriteAsync(host.Value, buffer, cancellationToken);
}
