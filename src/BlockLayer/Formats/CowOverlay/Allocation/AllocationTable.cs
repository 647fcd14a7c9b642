namespace BlockLayer.Formats.CowOverlay;

/// <summary>
/// Who fills which clusters. A cluster is taken while its bit is clear and nobody has it, filled without any lock, and published by setting its bit. So of
/// a guest's write and a copy from below that want the same cluster, the one that comes second meets a set bit.
/// </summary>
internal sealed class AllocationTable(AllocationBitmap bitmap)
{
    private readonly List<Allocation> _inFlight = []; // guarded by the bitmap's gate; as many as there are allocating requests: few enough to look at each

    /// <summary>Takes clusters from <paramref name="first"/> on, at least one and at most <paramref name="limit"/>.</summary>
    /// <returns>Null when the first one was somebody else's, who is done now, or is set: the caller looks again.</returns>
    internal async ValueTask<Allocation?> TryBeginAsync(long first, long limit, CancellationToken cancellationToken)
    {
        Allocation? other;
        lock (bitmap.Gate)
        {
            other = FindLocked(first);
            if (other is null)
            {
                return BeginLocked(first, limit);
            }
        }

        await other.Ended.WaitAsync(cancellationToken).ConfigureAwait(false);
        return null;
    }

    /// <summary>Ends an allocation: with its bits set once all its bytes are in the image file, else as if it had not been.</summary>
    internal void End(Allocation allocation, bool isFilled)
    {
        lock (bitmap.Gate)
        {
            if (isFilled)
            {
                bitmap.SetLocked(allocation.First, allocation.Count);
            }

            _inFlight.Remove(allocation);
        }

        allocation.Ended.Complete();
    }

    private Allocation? BeginLocked(long first, long limit)
    {
        long count = bitmap.CountRun(first, limit, out bool isSet);
        if (isSet)
        {
            return null;
        }

        foreach (Allocation other in _inFlight)
        {
            if (other.First > first)
            {
                count = Math.Min(count, other.First - first);
            }
        }

        var allocation = new Allocation(first, count);
        _inFlight.Add(allocation);
        return allocation;
    }

    private Allocation? FindLocked(long cluster) => _inFlight.Find(allocation => cluster >= allocation.First && cluster < allocation.End);
}
