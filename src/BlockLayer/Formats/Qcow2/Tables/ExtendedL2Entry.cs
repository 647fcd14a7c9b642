using System.Diagnostics;
using System.Numerics;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// One extended entry of an L2 table: a standard word and a word with two bits for each of 32 subclusters. qcow2 spec, "Extended L2 Entries".
/// </summary>
/// <param name="Cluster">The first word. Its zero flag is reserved.</param>
/// <param name="Subclusters">Bits 0-31: subcluster is allocated. Bits 32-63: subcluster reads as zeroes. Unused for a compressed cluster.</param>
internal readonly record struct ExtendedL2Entry(L2Entry Cluster, ulong Subclusters)
{
    /// <summary>Bytes on disk: two big-endian words.</summary>
    public const int Size = 2 * sizeof(ulong);

    /// <summary>Subclusters in a cluster.</summary>
    public const int SubclusterCount = 32;

    /// <summary>One bit for each subcluster that holds data, the first in bit 0.</summary>
    public uint Allocated => (uint)Subclusters;

    /// <summary>One bit for each subcluster that reads as zeroes, the first in bit 0.</summary>
    public uint Zero => (uint)(Subclusters >> SubclusterCount);

    /// <summary>One bit for each subcluster that is not in this image.</summary>
    public uint Unallocated => Cluster.IsCompressed ? 0 : ~(Allocated | Zero);

    /// <summary>A host cluster with refcount one, whatever its subclusters say: subclusters may be stored there.</summary>
    public bool HasOwnHostCluster => Cluster.Kind == ClusterKind.Data && Cluster.IsCopied;

    /// <summary>The subclusters whose content lies in what the entry refers to, and is lost with it: those with data, or all that a stream holds.</summary>
    public uint Stored => Cluster.IsCompressed ? uint.MaxValue : Allocated;

    /// <summary>A bit for each subcluster from <paramref name="first"/> up to, not including, <paramref name="end"/>.</summary>
    public static uint Mask(int first, int end)
    {
        Debug.Assert(first >= 0 && first < end && end <= SubclusterCount, "a range of subclusters is within a cluster and not empty");
        return (uint)((1UL << end) - (1UL << first));
    }

    /// <summary>The same host cluster, with data in these subclusters.</summary>
    public ExtendedL2Entry WithData(uint subclusters) => this with { Subclusters = Pack(Allocated | subclusters, Zero & ~subclusters) };

    /// <summary>The same host cluster, if any, with these subclusters reading as zeroes.</summary>
    public ExtendedL2Entry WithZeroes(uint subclusters) => this with { Subclusters = Pack(Allocated & ~subclusters, Zero | subclusters) };

    /// <summary>How many subclusters from one on are of its kind, up to the end of the cluster.</summary>
    public int RunFrom(int subcluster)
    {
        ulong alike = KindOf(subcluster) switch
        {
            ClusterKind.Compressed => uint.MaxValue,
            ClusterKind.Data => Allocated,
            ClusterKind.Unallocated => Unallocated,
            _ => Zero,
        };
        return BitOperations.TrailingZeroCount(~(alike >> subcluster));
    }

    /// <summary>What the entry says of one subcluster.</summary>
    public ClusterKind KindOf(int subcluster)
    {
        if (Cluster.IsCompressed)
        {
            return ClusterKind.Compressed;
        }

        bool hasHostCluster = Cluster.Kind == ClusterKind.Data;
        if ((Zero >> subcluster & 1) != 0)
        {
            return hasHostCluster ? ClusterKind.ZeroAllocated : ClusterKind.ZeroPlain;
        }

        return (Allocated >> subcluster & 1) != 0 ? ClusterKind.Data : ClusterKind.Unallocated;
    }

    /// <summary>Whether both words agree and what they point to starts in a file of <paramref name="fileLength"/> bytes.</summary>
    public EntryFault Validate(ClusterGeometry g, int version, long fileLength)
    {
        EntryFault fault = Cluster.Validate(g, version, fileLength);
        if (fault.IsFatal())
        {
            return fault;
        }

        if (Cluster.IsCompressed)
        {
            return Subclusters == 0 ? fault : EntryFault.ReservedBits;
        }

        if ((Allocated & Zero) != 0)
        {
            return EntryFault.SubclusterConflict;
        }

        return Allocated != 0 && Cluster.WithoutZero().Kind == ClusterKind.Unallocated ? EntryFault.SubclusterWithoutCluster : fault;
    }

    /// <summary>The second word for these two sets of subclusters.</summary>
    public static ulong Pack(uint allocated, uint zero) => allocated | (ulong)zero << SubclusterCount;
}
