namespace BlockLayer.Libvirt;

/// <summary>
/// Streaming as it was proposed first, with the return values of then: an offset that doubles as status, and -1 for a failure that <see cref="LibvirtConnection.LastError"/> explains. What the calls
/// do is told at <see cref="StreamDiskApi"/>.
/// </summary>
public sealed class StreamDiskCalls
{
    private readonly LibvirtConnection _connection;
    private readonly StreamDiskApi _api;

    /// <summary>The calls on a connection.</summary>
    public StreamDiskCalls(LibvirtConnection connection) => (_connection, _api) = (connection, new StreamDiskApi(connection));

    /// <summary>Starts or stops streaming a whole device, or streams one sector.</summary>
    /// <param name="domain">Whose device.</param>
    /// <param name="device">Its alias: the target.</param>
    /// <param name="offset">Where to look for a sector that is lacking; for the whole device it has to be 0.</param>
    /// <param name="flags">Exactly one of the three things.</param>
    /// <returns>0 for a start or stop. For a sector, where to continue: the size of the device when, and only when, it needs no backing file any more. -1 on failure.</returns>
    public ValueTask<long> StreamDisk(Domain domain, string? device, ulong offset, StreamDiskFlags flags)
        => _connection.TryOffsetAsync(async () =>
        {
            _connection.BeginChange(domain, device, () => CallRules.CheckStreamDisk(flags, device!, offset));
            switch (flags)
            {
                case StreamDiskFlags.Start:
                    await _api.StartAsync(domain, device).ConfigureAwait(false);
                    return 0;
                case StreamDiskFlags.Stop:
                    await _api.StopAsync(domain, device).ConfigureAwait(false);
                    return 0;
                default:
                    return (await _api.StreamSectorAsync(domain, device, offset).ConfigureAwait(false)).Next;
            }
        });

    /// <summary>Tells which devices are being streamed whole.</summary>
    /// <param name="domain">Whose devices.</param>
    /// <param name="states">Gets one entry for each, as far as there is room; what is behind them is left as it is.</param>
    /// <param name="statesCount">How many entries <paramref name="states"/> has room for.</param>
    /// <param name="flags">0.</param>
    /// <returns>How many entries were filled; -1 on failure.</returns>
    public int StreamDiskInfo(Domain domain, StreamDiskState[]? states, uint statesCount, int flags)
        => _connection.Try(() => DiskStreams.Fill("StreamDiskInfo", _api.GetInfo(domain, flags), states, statesCount));
}
