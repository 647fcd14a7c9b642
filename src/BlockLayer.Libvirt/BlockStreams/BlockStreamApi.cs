using BlockLayer.Jobs;

namespace BlockLayer.Libvirt;

/// <summary>
/// Streaming as it was proposed for the third time (virDomainBlockStream with Abort and Info, May 2011): devices have the paths of their images, and a cursor takes the place of offsets. <see cref="BlockStreamCalls"/>
/// has the calls of the proposal with 0 and -1.
/// </summary>
/// <remarks>
/// <para>A device is named by the fully qualified path of its active image, of at most <see cref="PathMax"/> bytes with the terminating zero; targets are refused. What is streamed is everything below the active
/// image; there is no base.</para>
/// <para>What every call throws is what those of <see cref="BlockJobApi"/> do.</para>
/// </remarks>
public sealed class BlockStreamApi
{
    /// <summary>Bytes of the longest path, in UTF-8 and with its terminating zero (<c>VIR_DOMAIN_BLOCK_STREAM_PATH_MAX</c>).</summary>
    public const int PathMax = 1024;

    private readonly LibvirtConnection _connection;

    /// <summary>The calls on a connection.</summary>
    public BlockStreamApi(LibvirtConnection connection) => _connection = connection;

    /// <summary>Starts to stream the whole device in the background (CONTINUOUS).</summary>
    public ValueTask<DiskJob> StartAsync(Domain domain, string? path, CancellationToken cancellationToken = default)
        => DiskStreams.StartAsync(domain, Begin(domain, path, BlockStreamFlags.Continuous, hasCursor: false), cancellationToken);

    /// <summary>
    /// Streams one increment, and moves the cursor on. Called with a new cursor, and again with the same until <see cref="StreamIncrement.IsComplete"/>, it streams the whole device; the cursor is at the device's end
    /// then. It may go back on its way, when something before it turns out to be lacking: what a crash took back, or what another caller was to stream.
    /// </summary>
    /// <exception cref="LibvirtException">
    /// InvalidArg: the cursor is behind the device's end; BlockCopyActive, OperationUnsupported: the disk has a job; SystemError and others: what streaming met. The cursor has not moved then, and may be tried again.
    /// </exception>
    public async ValueTask<StreamIncrement> StreamAsync(Domain domain, string? path, BlockStreamCursor cursor, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(cursor);
        DomainDisk disk = Begin(domain, path, BlockStreamFlags.None, hasCursor: true);
        CallRules.CheckCursor("cursor", cursor.Value);
        StreamIncrement increment = await DiskStreams.StreamUnitAsync(domain, disk, cursor.Value, cancellationToken).ConfigureAwait(false);
        cursor.Value = (ulong)increment.Next;
        return increment;
    }

    /// <summary>Aborts what <see cref="StartAsync"/> started, and returns when it has ended. What was streamed stays.</summary>
    /// <exception cref="LibvirtException">OperationInvalid: the device is not being streamed continuously, or it is being aborted already.</exception>
    public ValueTask AbortAsync(Domain domain, string? path, int flags = 0, CancellationToken cancellationToken = default)
    {
        DomainDisk disk = _connection.BeginChange(domain, path, () => CallRules.CheckStreamPath("BlockStreamAbort", path!, flags));
        return DiskStreams.StopAsync(disk, cancellationToken);
    }

    /// <summary>All devices of the domain that are being streamed continuously, in the order of its description. An increment is over when its call returns, and is none of them.</summary>
    /// <exception cref="LibvirtException">Overflow: the path of one does not fit an entry.</exception>
    public IReadOnlyList<BlockStreamInfo> GetInfo(Domain domain, int flags = 0)
        => [.. DiskStreams.Active(_connection, domain, "GetBlockStreamInfo", flags).Select(stream => new BlockStreamInfo(PathOf(stream.Disk), stream.Position, stream.End))];

    private DomainDisk Begin(Domain domain, string? path, BlockStreamFlags flags, bool hasCursor)
        => _connection.BeginChange(domain, path, () => CallRules.CheckBlockStream(flags, path!, hasCursor));

    // A generation that names disks otherwise may stream one that this generation could not name.
    private static string PathOf(DomainDisk disk)
    {
        string path = disk.Source?.Path ?? "";
        return CallRules.FitsStreamPath(path)
            ? path
            : throw LibvirtException.Refused(LibvirtErrorCode.Overflow, $"The path of the disk '{disk.Target}' does not fit the {PathMax} bytes of an entry.");
    }
}
