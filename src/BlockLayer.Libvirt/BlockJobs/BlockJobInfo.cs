namespace BlockLayer.Libvirt;

/// <summary>A job as it is told to callers (<c>virDomainBlockJobInfo</c>).</summary>
/// <param name="Type">What it does.</param>
/// <param name="Bandwidth">The most it copies a second, in MiB rounded up, or in bytes where that was asked for; 0 for no limit.</param>
/// <param name="Cur">How far it is, in a unit of its own.</param>
/// <param name="End">Where it ends, in the same unit. <see cref="Cur"/> is equal to it only when a copy or active commit is ready, or at the very end.</param>
public readonly record struct BlockJobInfo(BlockJobType Type, ulong Bandwidth, ulong Cur, ulong End)
{
    /// <summary>The description of a job that is in this state now.</summary>
    /// <remarks>
    /// libvirt, virDomainGetBlockJobInfo: programs take cur == end for "ready" or "done". So a job that has counted nothing yet is told as 0 of 1, one that had nothing to do as 1 of 1
    /// (both since 2.3.0), and one that has counted everything but is not ready stays one short.
    /// </remarks>
    /// <exception cref="LibvirtException">Overflow: the bandwidth does not fit <paramref name="client"/>.</exception>
    internal static BlockJobInfo Of(JobReading job, BlockJobInfoFlags flags, ClientLong client)
    {
        (long cur, long end) = (job.Current, job.End);
        if (cur == 0 && end == 0)
        {
            (cur, end) = job.IsReady ? (1, 1) : (0, 1);
        }
        else if (cur == end && !job.IsReady)
        {
            cur--;
        }

        BandwidthUnit unit = (flags & BlockJobInfoFlags.BandwidthBytes) != 0 ? BandwidthUnit.Bytes : BandwidthUnit.Mebibytes;
        return new BlockJobInfo(job.Type, Libvirt.Bandwidth.ToClient(job.BytesPerSecond, unit, client), (ulong)cur, (ulong)end);
    }
}
