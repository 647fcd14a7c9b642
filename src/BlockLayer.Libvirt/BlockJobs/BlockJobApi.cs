namespace BlockLayer.Libvirt;

/// <summary>
/// The block jobs of libvirt as it is today, for programs in C#: tasks, exceptions, a <see cref="DiskJob"/> to await, and <see cref="LibvirtConnection.WatchEvents"/> for the events.
/// <see cref="BlockJobCalls"/> has the same calls with libvirt's return values.
/// </summary>
/// <remarks>
/// <para><c>disk</c> is the path of the active image or the target (<c>vda</c>); <c>base</c> and <c>top</c> are a path in the disk's chain or <c>vda[N]</c>. A call that starts a job returns when it
/// runs. A disk has one job at a time. A bandwidth of 0 is no limit.</para>
/// <para>What every call throws: <see cref="LibvirtException"/> with InvalidConnection, InvalidDomain; OperationDenied on a read-only connection; InvalidArg: no such disk, flags that do not go together; OperationInvalid: the
/// domain does not run; ConfigUnsupported: the drive is empty. A call that starts a job besides: BlockCopyActive, OperationUnsupported: the disk has a job; Overflow: the bandwidth; and with the block
/// layer's exception inside, as that refuses the job. Nothing has changed then.</para>
/// </remarks>
public sealed class BlockJobApi
{
    private readonly LibvirtConnection _connection;

    /// <summary>The calls on a connection.</summary>
    public BlockJobApi(LibvirtConnection connection) => _connection = connection;

    /// <summary>Fills the active image from its whole chain, until it needs none (<c>virDomainBlockPull</c>): a rebase without a base.</summary>
    public ValueTask<DiskJob> PullAsync(
        Domain domain, string? disk, ulong bandwidth = 0, BlockPullFlags flags = BlockPullFlags.None, CancellationToken cancellationToken = default)
    {
        DomainDisk found = _connection.BeginChange(domain, disk, () => CallRules.Check(flags));
        long speed = Bandwidth.ToBytesPerSecond(bandwidth, UnitOf((flags & BlockPullFlags.BandwidthBytes) != 0));
        return DiskJobs.StartPullAsync(domain, found, @base: null, RecordedName.Absolute, speed, cancellationToken);
    }

    /// <summary>
    /// Fills the active image from what lies above <paramref name="base"/>, which is its backing file then; or, with <see cref="BlockRebaseFlags.Copy"/>, copies the disk to the file that
    /// <paramref name="base"/> names (<c>virDomainBlockRebase</c>).
    /// </summary>
    /// <exception cref="LibvirtException">
    /// InvalidArg: no such base; OperationInvalid: RELATIVE, and no relative name can be derived. For a copy as <see cref="CopyAsync"/>; a persistent domain is always refused, because this call has no
    /// TRANSIENT_JOB.
    /// </exception>
    public ValueTask<DiskJob> RebaseAsync(
        Domain domain,
        string? disk,
        string? @base,
        ulong bandwidth = 0,
        BlockRebaseFlags flags = BlockRebaseFlags.None,
        CancellationToken cancellationToken = default)
    {
        DomainDisk found = _connection.BeginChange(domain, disk, () => CallRules.Check(flags, @base));
        long speed = Bandwidth.ToBytesPerSecond(bandwidth, UnitOf((flags & BlockRebaseFlags.BandwidthBytes) != 0));
        if ((flags & BlockRebaseFlags.Copy) != 0)
        {
            CopyDestination destination = CopyDestination.FromRebase(@base!, flags);
            var parameters = new CopyParameters { Bandwidth = (ulong)speed };
            return DiskJobs.StartCopyAsync(domain, found, destination, parameters, CopyDestination.FlagsOf(flags), cancellationToken);
        }

        RecordedName name = (flags & BlockRebaseFlags.Relative) != 0 ? RecordedName.Relative : RecordedName.Absolute;
        return DiskJobs.StartPullAsync(domain, found, @base, name, speed, cancellationToken);
    }

    /// <summary>
    /// Copies the disk to another file, and keeps it equal until <see cref="AbortAsync"/> goes over to it or back (<c>virDomainBlockCopy</c>). The file is created unless the flags say that it exists, and
    /// stays when the job is aborted or fails. A file that is created is not encrypted, whatever the disk is: make it before, and say so.
    /// </summary>
    /// <param name="domain">Whose disk.</param>
    /// <param name="disk">The disk.</param>
    /// <param name="destinationXml">A <c>&lt;disk&gt;</c> with <c>&lt;source&gt;</c> and, so that nothing is guessed, <c>&lt;driver type='...'/&gt;</c>.</param>
    /// <param name="parameters">Null for the defaults.</param>
    /// <param name="flags">How.</param>
    /// <param name="cancellationToken">Honoured until the job runs.</param>
    /// <exception cref="LibvirtException">
    /// XmlDetail, XmlError, ConfigUnsupported, SystemError, InvalidArg (its path is not absolute): the destination; OperationInvalid: the domain is persistent, and TRANSIENT_JOB was not given; InvalidArg, Overflow: the parameters.
    /// </exception>
    public ValueTask<DiskJob> CopyAsync(
        Domain domain,
        string? disk,
        string? destinationXml,
        CopyParameters? parameters = null,
        BlockCopyFlags flags = BlockCopyFlags.None,
        CancellationToken cancellationToken = default)
        => StartCopyAsync(domain, disk, destinationXml, () => parameters ?? new CopyParameters(), flags, cancellationToken);

    /// <summary>The same with parameters that are read, and refused, after the flags and before the domain is looked at.</summary>
    /// <inheritdoc cref="CopyAsync"/>
    internal ValueTask<DiskJob> StartCopyAsync(
        Domain domain, string? disk, string? destinationXml, Func<CopyParameters> readParameters, BlockCopyFlags flags, CancellationToken cancellationToken)
    {
        var parameters = new CopyParameters();
        DomainDisk found = _connection.BeginChange(domain, disk, () =>
        {
            CallRules.Check(flags, destinationXml);
            parameters = readParameters();
            parameters.Check();
        });
        return DiskJobs.StartCopyAsync(domain, found, CopyDestination.FromXml(destinationXml!), parameters, flags, cancellationToken);
    }

    /// <summary>
    /// Writes what the images above <paramref name="base"/> up to <paramref name="top"/> hold into the base, which then takes their place (<c>virDomainBlockCommit</c>). When the top is the active image, the job is
    /// kept ready until <see cref="AbortAsync"/> goes over to the base or keeps the active image.
    /// </summary>
    /// <param name="domain">Whose disk.</param>
    /// <param name="disk">The disk.</param>
    /// <param name="base">Null: the bottom of the chain or, with SHALLOW, what is right below the top.</param>
    /// <param name="top">Null: the active image.</param>
    /// <param name="bandwidth">In MiB or, with BANDWIDTH_BYTES, bytes a second; 0 is no limit.</param>
    /// <param name="flags">How. RELATIVE is about the image above the top, and means nothing where there is none.</param>
    /// <param name="cancellationToken">Honoured until the job runs.</param>
    /// <exception cref="LibvirtException">
    /// InvalidArg: no such images, or ACTIVE and the top do not agree; OperationInvalid: RELATIVE, and no relative name can be derived; OperationUnsupported: it, or the deletion of files, would destroy an image in
    /// <see cref="LibvirtHostOptions.ImageFolders"/>.
    /// </exception>
    public ValueTask<DiskJob> CommitAsync(
        Domain domain,
        string? disk,
        string? @base = null,
        string? top = null,
        ulong bandwidth = 0,
        BlockCommitFlags flags = BlockCommitFlags.None,
        CancellationToken cancellationToken = default)
    {
        DomainDisk found = _connection.BeginChange(domain, disk, () => CallRules.Check(flags));
        long speed = Bandwidth.ToBytesPerSecond(bandwidth, UnitOf((flags & BlockCommitFlags.BandwidthBytes) != 0));
        return DiskJobs.StartCommitAsync(domain, found, @base, top, speed, flags, cancellationToken);
    }

    /// <summary>
    /// Ends the job (<c>virDomainBlockJobAbort</c>): cancels it or, with <see cref="BlockJobAbortFlags.Pivot"/>, goes over to the copy or the base. Without <see cref="BlockJobAbortFlags.Async"/> it returns when the
    /// job is over and its event was raised. A job that ends by itself meanwhile is no failure of an abort: the event says what became of it.
    /// </summary>
    /// <exception cref="LibvirtException">
    /// InvalidArg: no job; OperationInvalid: one that cannot pivot, or is being ended already; BlockCopyActive: not ready to pivot; OperationFailed: the pivot was begun and failed, and the disk is where it was.
    /// </exception>
    public async ValueTask AbortAsync(Domain domain, string? disk, BlockJobAbortFlags flags = BlockJobAbortFlags.None, CancellationToken cancellationToken = default)
    {
        DomainDisk found = _connection.BeginChange(domain, disk, () => CallRules.Check(flags));
        IDiskJob job = await DiskJobs.EndAsync(found, flags, cancellationToken).ConfigureAwait(false);
        if ((flags & BlockJobAbortFlags.Async) != 0)
        {
            return;
        }

        BlockJobEvent end = await job.WaitForEndAsync(cancellationToken).ConfigureAwait(false);
        if ((flags & BlockJobAbortFlags.Pivot) != 0 && end.Status != BlockJobStatus.Completed)
        {
            string why = end.Error?.Message ?? "it was cancelled";
            throw LibvirtException.Refused(LibvirtErrorCode.OperationFailed, $"The job on the disk '{found.Target}' failed while pivoting: {why}");
        }
    }

    /// <summary>What runs on the disk (<c>virDomainGetBlockJobInfo</c>); null for nothing.</summary>
    /// <exception cref="LibvirtException">Overflow: the bandwidth in bytes does not fit the caller's number.</exception>
    public BlockJobInfo? GetInfo(Domain domain, string? disk, BlockJobInfoFlags flags = BlockJobInfoFlags.None)
        => _connection.BeginQuery(domain, disk, () => CallRules.Check(flags)).DescribeJob(flags, domain.Host.Options.ClientLong);

    /// <summary>Limits the job to so many MiB or, with the flag, bytes a second, at once; 0 is no limit (<c>virDomainBlockJobSetSpeed</c>).</summary>
    /// <exception cref="LibvirtException">InvalidArg: no job; OperationInvalid: one whose work is over; Overflow.</exception>
    public async ValueTask SetSpeedAsync(
        Domain domain, string? disk, ulong bandwidth, BlockJobSetSpeedFlags flags = BlockJobSetSpeedFlags.None, CancellationToken cancellationToken = default)
    {
        long speed = 0;
        DomainDisk found = _connection.BeginChange(domain, disk, () =>
        {
            CallRules.Check(flags);
            speed = Bandwidth.ToBytesPerSecond(bandwidth, UnitOf((flags & BlockJobSetSpeedFlags.BandwidthBytes) != 0)); // before the domain is looked at, as libvirt does it for this call
        });
        await DiskJobs.SetSpeedAsync(found, speed, cancellationToken).ConfigureAwait(false);
    }

    private static BandwidthUnit UnitOf(bool isBytes) => isBytes ? BandwidthUnit.Bytes : BandwidthUnit.Mebibytes;
}
