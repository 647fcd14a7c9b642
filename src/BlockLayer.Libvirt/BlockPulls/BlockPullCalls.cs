namespace BlockLayer.Libvirt;

/// <summary>
/// Pulls as they were proposed in 2011, with 0 for success and -1 for a failure that <see cref="LibvirtConnection.LastError"/> explains. Each call is the one of <see cref="BlockPullApi"/> that its
/// comment names, and nothing else.
/// </summary>
public sealed class BlockPullCalls
{
    private readonly LibvirtConnection _connection;
    private readonly BlockPullApi _api;

    /// <summary>The calls on a connection.</summary>
    public BlockPullCalls(LibvirtConnection connection) => (_connection, _api) = (connection, new BlockPullApi(connection));

    /// <inheritdoc cref="BlockPullApi.PullAsync"/>
    public ValueTask<int> BlockPull(Domain domain, string? path, int flags)
        => _connection.TryStartAsync(() => _api.PullAsync(domain, path, flags));

    /// <inheritdoc cref="BlockPullApi.PullAboveAsync"/>
    public ValueTask<int> BlockPullAbove(Domain domain, string? path, string? backingPath, int flags)
        => _connection.TryStartAsync(() => _api.PullAboveAsync(domain, path, backingPath, flags));

    /// <inheritdoc cref="BlockPullApi.PullBelowAsync"/>
    public ValueTask<int> BlockPullBelow(Domain domain, string? path, string? backingPath, int flags)
        => _connection.TryStartAsync(() => _api.PullBelowAsync(domain, path, backingPath, flags));

    /// <inheritdoc cref="BlockPullApi.AbortAsync"/>
    public ValueTask<int> BlockPullAbort(Domain domain, string? path, int flags)
        => _connection.TryDoAsync(() => _api.AbortAsync(domain, path, flags));

    /// <inheritdoc cref="BlockPullApi.GetInfo"/>
    /// <returns>0 with <paramref name="info"/> filled; -1, with it zeroed, also where no pull runs.</returns>
    public int GetBlockPullInfo(Domain domain, string? path, out BlockPullInfo info, int flags)
    {
        BlockPullInfo found = default;
        int answer = _connection.Try(() =>
        {
            found = _api.GetInfo(domain, path, flags);
            return 0;
        });
        info = found;
        return answer;
    }
}
