namespace BlockLayer.Libvirt;

/// <summary>
/// Pulls as they were proposed in 2011 (virDomainBlockPull with its Abort, Info and event BLOCK_PULL), before base, bandwidth and the other jobs came. <see cref="BlockPullCalls"/> has the same calls
/// with 0 and -1.
/// </summary>
/// <remarks>
/// <para>A disk is named by the path of its active image, not by its target. No call defines flags.</para>
/// <para>The event tells COMPLETED and FAILED. An aborted pull tells nothing: who aborted it knows, and others learn it by asking. The gap was closed later by
/// <see cref="BlockJobStatus.Canceled"/>, which the events of <see cref="BlockJobApi"/> tell of these pulls too, since the jobs are the same.</para>
/// <para>The proposal left open what one more argument, <c>backing_path</c>, would mean. For A &lt;- B &lt;- C, a pull on C with B as that path was described as giving B &lt;- C without A, which two readings come close to.
/// <see cref="PullAboveAsync"/> keeps the image that is named and all below it: what libvirt shipped as BlockRebase. <see cref="PullBelowAsync"/> keeps it and orphans it: what is below is
/// copied into it, and its own link is removed, so that B &lt;- C is left and A is not needed.</para>
/// <para>What every call throws is what those of <see cref="BlockJobApi"/> do.</para>
/// </remarks>
public sealed class BlockPullApi
{
    private readonly LibvirtConnection _connection;

    /// <summary>The calls on a connection.</summary>
    public BlockPullApi(LibvirtConnection connection) => _connection = connection;

    /// <summary>Starts to fill the active image from its whole chain, until it needs none.</summary>
    public ValueTask<DiskJob> PullAsync(Domain domain, string? path, int flags = 0, CancellationToken cancellationToken = default)
        => PullAboveAsync(domain, path, backingPath: null, flags, cancellationToken);

    /// <summary>Starts to fill the active image from what lies above <paramref name="backingPath"/>, which is its backing file then; null is a whole pull.</summary>
    public ValueTask<DiskJob> PullAboveAsync(Domain domain, string? path, string? backingPath, int flags = 0, CancellationToken cancellationToken = default)
    {
        DomainDisk disk = _connection.BeginChange(domain, path, () => CallRules.CheckPull("BlockPull", path!, flags));
        return DiskJobs.StartPullAsync(domain, disk, backingPath, RecordedName.Absolute, bytesPerSecond: 0, cancellationToken);
    }

    /// <summary>
    /// Starts to fill the image <paramref name="backingPath"/>, which lies below the active one, from what lies below it; the chain ends with it then. The active image is not touched. Other overlays of that
    /// image see no difference.
    /// </summary>
    /// <exception cref="LibvirtException">InvalidArg: also no image is named.</exception>
    public ValueTask<DiskJob> PullBelowAsync(Domain domain, string? path, string? backingPath, int flags = 0, CancellationToken cancellationToken = default)
    {
        DomainDisk disk = _connection.BeginChange(domain, path, () => CallRules.CheckPullBelow(path!, backingPath, flags));
        return DiskJobs.StartPullBelowAsync(domain, disk, backingPath!, cancellationToken);
    }

    /// <summary>Aborts the pull, and returns when it has ended. What it copied stays, and the next pull goes on from there.</summary>
    /// <exception cref="LibvirtException">OperationInvalid: no pull runs on the disk, or it is being aborted already.</exception>
    public async ValueTask AbortAsync(Domain domain, string? path, int flags = 0, CancellationToken cancellationToken = default)
    {
        DomainDisk disk = _connection.BeginChange(domain, path, () => CallRules.CheckPull("BlockPullAbort", path!, flags));
        IDiskJob job = await DiskJobs.EndPullAsync(disk, cancellationToken).ConfigureAwait(false);
        await job.WaitForEndAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>How far the pull is.</summary>
    /// <exception cref="LibvirtException">OperationInvalid: no pull runs on the disk.</exception>
    public BlockPullInfo GetInfo(Domain domain, string? path, int flags = 0)
    {
        DomainDisk disk = _connection.BeginQuery(domain, path, () => CallRules.CheckPull("GetBlockPullInfo", path!, flags));
        CallRules.RequirePull(disk.Target, disk.Job?.Type);
        return disk.DescribeJob(BlockJobInfoFlags.None, ClientLong.Bits64) is { } info
            ? new BlockPullInfo(info.Cur, info.End)
            : throw CallRules.NoPull(disk.Target); // it has just ended
    }

    /// <summary>Calls a callback when pulls end, of one domain or, with null, of all. <see cref="LibvirtConnection.DeregisterDomainEvent"/> removes it.</summary>
    /// <returns>The number of the registration.</returns>
    public int RegisterPullEvent(Domain? domain, BlockPullCallback callback)
    {
        ArgumentNullException.ThrowIfNull(callback);
        BlockJobCallback hear = (whose, path, type, status) =>
        {
            if (type == BlockJobType.Pull && status is BlockJobStatus.Completed or BlockJobStatus.Failed)
            {
                callback(_connection, whose, path, status == BlockJobStatus.Completed ? BlockPullStatus.Completed : BlockPullStatus.Failed);
            }
        };
        return _connection.RegisterDomainEvent(domain, DomainEventId.BlockJob, hear);
    }
}
