namespace BlockLayer.Libvirt;

/// <summary>
/// Streaming as it was proposed for the third time, with 0 for success and -1 for a failure that <see cref="LibvirtConnection.LastError"/> explains. Each call is the one of <see cref="BlockStreamApi"/> that its comment
/// names, and nothing else.
/// </summary>
public sealed class BlockStreamCalls
{
    private readonly LibvirtConnection _connection;
    private readonly BlockStreamApi _api;

    /// <summary>The calls on a connection.</summary>
    public BlockStreamCalls(LibvirtConnection connection) => (_connection, _api) = (connection, new BlockStreamApi(connection));

    /// <summary>Streams the whole device in the background, or one increment of it: <see cref="BlockStreamApi.StartAsync"/>, <see cref="BlockStreamApi.StreamAsync"/>.</summary>
    /// <param name="domain">Whose device.</param>
    /// <param name="path">The path of its active image.</param>
    /// <param name="cursor">Without CONTINUOUS, moved on by the increment; one that stays where it is was at the end. With CONTINUOUS it is not looked at, and may be null.</param>
    /// <param name="flags">CONTINUOUS or nothing.</param>
    /// <returns>0; -1 on failure, and the cursor has not moved.</returns>
    public ValueTask<int> BlockStream(Domain domain, string? path, BlockStreamCursor? cursor, BlockStreamFlags flags)
        => _connection.TryDoAsync(async () =>
        {
            _connection.BeginChange(domain, path, () => CallRules.CheckBlockStream(flags, path!, cursor is not null));
            if (flags == BlockStreamFlags.Continuous)
            {
                await _api.StartAsync(domain, path).ConfigureAwait(false);
            }
            else
            {
                await _api.StreamAsync(domain, path, cursor!).ConfigureAwait(false);
            }
        });

    /// <inheritdoc cref="BlockStreamApi.AbortAsync"/>
    public ValueTask<int> BlockStreamAbort(Domain domain, string? path, int flags)
        => _connection.TryDoAsync(() => _api.AbortAsync(domain, path, flags));

    /// <inheritdoc cref="BlockStreamApi.GetInfo"/>
    /// <param name="domain">Whose devices.</param>
    /// <param name="info">Gets one entry for each device, as far as there is room; what is behind them is left as it is.</param>
    /// <param name="resultsCount">How many entries <paramref name="info"/> has room for.</param>
    /// <param name="flags">0.</param>
    /// <returns>How many entries were filled; -1 on failure.</returns>
    public int GetBlockStreamInfo(Domain domain, BlockStreamInfo[]? info, uint resultsCount, int flags)
        => _connection.Try(() => DiskStreams.Fill("GetBlockStreamInfo", _api.GetInfo(domain, flags), info, resultsCount));
}
