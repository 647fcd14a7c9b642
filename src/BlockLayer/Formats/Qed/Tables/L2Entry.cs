using System.Diagnostics;

namespace BlockLayer.Formats.Qed;

/// <summary>One word of an L2 table; qed_spec, "Data cluster offsets": 0 is unallocated, 1 is zeroes, anything else is where the cluster lies.</summary>
internal readonly record struct L2Entry(ulong Raw)
{
    /// <summary>Bytes an entry takes, in an L1 table as well.</summary>
    internal const int Size = 8;

    private const ulong ZeroMark = 1;

    internal static L2Entry Unallocated => default;

    internal static L2Entry Zero => new(ZeroMark);

    internal ClusterKind Kind => Raw switch
    {
        0 => ClusterKind.Unallocated,
        ZeroMark => ClusterKind.Zero,
        _ => ClusterKind.Data,
    };

    /// <summary>Where the cluster lies; only of a data entry that was validated.</summary>
    internal HostOffset Host => new((long)Raw);

    internal static L2Entry Data(HostOffset host)
    {
        Debug.Assert(host.Value >= QedLimits.MinClusterSize, "the first cluster is the header's");
        return new L2Entry((ulong)host.Value);
    }
}
