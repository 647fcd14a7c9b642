using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qed;

/// <summary>
/// Hands out clusters of the image file: past its end, always. QED keeps no record of free clusters, and none is freed while an image is open; what comes
/// back here was never published, so nobody has seen it. Guarded by the mapping lock.
/// </summary>
internal sealed class HostAllocator
{
    private readonly QedGeometry _geometry;
    private readonly Stack<long> _returned = new(); // clusters that an allocation took and could not use
    private long _next;                             // first cluster after everything in the file

    /// <param name="geometry">The image's.</param>
    /// <param name="fileLength">Bytes. A cluster that the file ends inside of is left alone: somebody may mean it.</param>
    internal HostAllocator(QedGeometry geometry, long fileLength)
    {
        _geometry = geometry;
        _next = Alignment.DivideRoundUp(fileLength, geometry.ClusterSize);
    }

    /// <summary>Takes <paramref name="count"/> clusters that follow each other.</summary>
    internal HostOffset TakeLocked(int count)
    {
        if (count == 1 && _returned.TryPop(out long cluster))
        {
            return new HostOffset(cluster << _geometry.ClusterBits);
        }

        var host = new HostOffset(checked(_next * _geometry.ClusterSize));
        _next += count;
        return host;
    }

    /// <summary>Takes back clusters that were never published.</summary>
    internal void ReturnLocked(HostOffset host, int count)
    {
        long first = host.Value >> _geometry.ClusterBits;
        if (first + count == _next)
        {
            _next = first;
            return;
        }

        for (int i = 0; i < count; i++)
        {
            _returned.Push(first + i);
        }
    }
}
