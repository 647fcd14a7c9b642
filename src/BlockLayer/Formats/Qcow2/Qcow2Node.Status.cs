using BlockLayer.Graph;

namespace BlockLayer.Formats.Qcow2;

// What is known of a run, from the tables alone.
internal sealed partial class Qcow2Node
{
    private protected override async ValueTask<BlockStatus> GetStatusCoreAsync(long offset, long length, CancellationToken cancellationToken)
    {
        ClusterMapping run = await LookupAsync(new GuestOffset(offset), length).ConfigureAwait(false);
        switch (run.Kind)
        {
            case ClusterKind.Data:
                return BlockStatus.DataAt(run.Length, run.HostOffset.Value, this);
            case ClusterKind.Compressed:
                return new BlockStatus(StatusFlags.Data | StatusFlags.Allocated | StatusFlags.Compressed, run.Length, 0, this);
            case ClusterKind.ZeroPlain:
                return BlockStatus.Zeroes(run.Length, this);
            case ClusterKind.ZeroAllocated:
                return new BlockStatus(StatusFlags.Zero | StatusFlags.Allocated | StatusFlags.HostOffsetValid, run.Length, run.HostOffset.Value, this);
            default:
                return BlockStatus.Unallocated(await ExtendUnallocatedAsync(offset, run.Length, length).ConfigureAwait(false));
        }
    }

    /// <summary>Sparse images are mostly missing L2 tables: passing over them here saves the caller a question for each.</summary>
    private async ValueTask<long> ExtendUnallocatedAsync(long offset, long known, long length)
    {
        while (known < length)
        {
            ClusterMapping next = await LookupAsync(new GuestOffset(offset + known), length - known).ConfigureAwait(false);
            if (next.Kind != ClusterKind.Unallocated)
            {
                break;
            }

            known += next.Length;
        }

        return known;
    }
}
