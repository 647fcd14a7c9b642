namespace BlockLayer.Libvirt;

/// <summary>
/// The block jobs of libvirt as it is today, by the names and with the answers of its C functions: 0 for success, -1 for a failure that
/// <see cref="LibvirtConnection.LastError"/> explains. Each call is the one of <see cref="BlockJobApi"/> that its comment names, and nothing else.
/// </summary>
public sealed class BlockJobCalls
{
    private readonly LibvirtConnection _connection;
    private readonly BlockJobApi _api;

    /// <summary>The calls on a connection.</summary>
    public BlockJobCalls(LibvirtConnection connection) => (_connection, _api) = (connection, new BlockJobApi(connection));

    /// <inheritdoc cref="BlockJobApi.PullAsync"/>
    public ValueTask<int> BlockPull(Domain domain, string? disk, ulong bandwidth, BlockPullFlags flags)
        => _connection.TryStartAsync(() => _api.PullAsync(domain, disk, bandwidth, flags));

    /// <inheritdoc cref="BlockJobApi.RebaseAsync"/>
    public ValueTask<int> BlockRebase(Domain domain, string? disk, string? @base, ulong bandwidth, BlockRebaseFlags flags)
        => _connection.TryStartAsync(() => _api.RebaseAsync(domain, disk, @base, bandwidth, flags));

    /// <inheritdoc cref="BlockJobApi.CopyAsync"/>
    public ValueTask<int> BlockCopy(
        Domain domain, string? disk, string? destinationXml, IEnumerable<KeyValuePair<string, ulong>>? parameters, BlockCopyFlags flags)
        => _connection.TryStartAsync(() => _api.StartCopyAsync(domain, disk, destinationXml, () => CopyParameters.FromNamed(parameters ?? []), flags, CancellationToken.None));

    /// <inheritdoc cref="BlockJobApi.CommitAsync"/>
    public ValueTask<int> BlockCommit(Domain domain, string? disk, string? @base, string? top, ulong bandwidth, BlockCommitFlags flags)
        => _connection.TryStartAsync(() => _api.CommitAsync(domain, disk, @base, top, bandwidth, flags));

    /// <inheritdoc cref="BlockJobApi.AbortAsync"/>
    public ValueTask<int> BlockJobAbort(Domain domain, string? disk, BlockJobAbortFlags flags)
        => _connection.TryDoAsync(() => _api.AbortAsync(domain, disk, flags));

    /// <inheritdoc cref="BlockJobApi.SetSpeedAsync"/>
    public ValueTask<int> BlockJobSetSpeed(Domain domain, string? disk, ulong bandwidth, BlockJobSetSpeedFlags flags)
        => _connection.TryDoAsync(() => _api.SetSpeedAsync(domain, disk, bandwidth, flags));

    /// <inheritdoc cref="BlockJobApi.GetInfo"/>
    /// <returns>1 with <paramref name="info"/> filled; 0 for no job, or -1, with <paramref name="info"/> zeroed.</returns>
    public int GetBlockJobInfo(Domain domain, string? disk, out BlockJobInfo info, BlockJobInfoFlags flags)
    {
        BlockJobInfo? found = null;
        int answer = _connection.Try(() => (found = _api.GetInfo(domain, disk, flags)) is null ? 0 : 1);
        info = found ?? default;
        return answer;
    }
}
