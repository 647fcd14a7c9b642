using BlockLayer.Jobs;

namespace BlockLayer.Libvirt;

/// <summary>
/// Streaming as it was proposed first (virDomainStreamDisk and virDomainStreamDiskInfo, November 2010 to April 2011): a whole device in the background, or one sector at a time, so that
/// the caller throttles by waiting between his calls. <see cref="StreamDiskCalls"/> has the one call of the proposal, whose answer is an offset.
/// </summary>
/// <remarks>
/// <para>A device is named by its alias, which is the target (<c>vda</c>) here; paths are refused. What is streamed is everything below the active image; there is no base.</para>
/// <para>A "sector" is the unit in which the image is filled: the larger of 64 KiB and its cluster.</para>
/// <para>What every call throws is what those of <see cref="BlockJobApi"/> do.</para>
/// </remarks>
public sealed class StreamDiskApi
{
    private readonly LibvirtConnection _connection;

    /// <summary>The calls on a connection.</summary>
    public StreamDiskApi(LibvirtConnection connection) => _connection = connection;

    /// <summary>Starts to stream the whole device.</summary>
    public ValueTask<DiskJob> StartAsync(Domain domain, string? device, CancellationToken cancellationToken = default)
        => DiskStreams.StartAsync(domain, Begin(domain, device, StreamDiskFlags.Start, offset: 0), cancellationToken);

    /// <summary>Stops streaming the whole device, and returns when that has ended. What was streamed stays.</summary>
    /// <exception cref="LibvirtException">OperationInvalid: the device is not being streamed, or it is being stopped already.</exception>
    public ValueTask StopAsync(Domain domain, string? device, CancellationToken cancellationToken = default)
        => DiskStreams.StopAsync(Begin(domain, device, StreamDiskFlags.Stop, offset: 0), cancellationToken);

    /// <summary>
    /// Streams the first sector at or behind an offset that the device lacks. Called from 0 with the offset that it returns until <see cref="StreamIncrement.IsComplete"/>, it streams the whole device.
    /// </summary>
    /// <exception cref="LibvirtException">
    /// InvalidArg: the offset is outside the device; BlockCopyActive, OperationUnsupported: the disk has a job; SystemError and others: what streaming met. The same offset may be tried again.
    /// </exception>
    public ValueTask<StreamIncrement> StreamSectorAsync(Domain domain, string? device, ulong offset, CancellationToken cancellationToken = default)
        => DiskStreams.StreamUnitAsync(domain, Begin(domain, device, StreamDiskFlags.One, offset), offset, cancellationToken);

    /// <summary>All devices of the domain that are being streamed whole, in the order of its description. A sector that is being streamed is none of them.</summary>
    public IReadOnlyList<StreamDiskState> GetInfo(Domain domain, int flags = 0)
        => [.. DiskStreams.Active(_connection, domain, "StreamDiskInfo", flags).Select(stream => new StreamDiskState(stream.Disk.Target, stream.Position, stream.End))];

    private DomainDisk Begin(Domain domain, string? device, StreamDiskFlags what, ulong offset)
        => _connection.BeginChange(domain, device, () => CallRules.CheckStreamDisk(what, device!, offset));
}
