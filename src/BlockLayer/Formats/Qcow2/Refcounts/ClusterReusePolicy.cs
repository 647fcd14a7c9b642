namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// When a released cluster may be given to somebody else. There is one right answer, <see cref="Safe"/>; it is an object so that a test can put a wrong one in
/// its place and see that the crash and interleaving tests notice.
/// </summary>
internal abstract class ClusterReusePolicy
{
    /// <summary>
    /// Only after the entry that dropped the cluster is durable (else a crash brings the entry back, and it leads to another one's data) and after every request
    /// that may have looked the cluster up has left (else a late read or write meets another one's data).
    /// </summary>
    internal static ClusterReusePolicy Safe { get; } = new DurableAndUnseen();

    /// <summary>Decides about clusters that were released together.</summary>
    /// <param name="released">The clusters.</param>
    /// <param name="durableDrop">The newest flush that has completed.</param>
    /// <param name="epoch">The gate's epoch now.</param>
    internal abstract bool MayReuse(ReleasedRun released, long durableDrop, long epoch);

    private sealed class DurableAndUnseen : ClusterReusePolicy
    {
        internal override bool MayReuse(ReleasedRun released, long durableDrop, long epoch)
            => released.Drop <= durableDrop && epoch >= released.Epoch + 2;
    }
}
