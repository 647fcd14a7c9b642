using System.Numerics;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

// Planning where L2 entries are extended: the unit that is filled and published is the subcluster.
//
//   a host cluster of its own      what is not stored yet of the subclusters that are written, up to the first one that is: that one is overwritten in place
//   none, a shared one, a stream   a new host cluster; the subclusters that are written, and what the old place holds, with what lies between them
internal sealed partial class Qcow2Node
{
    private bool HasSubclusters => _geometry.L2EntryFormat == L2EntryFormat.Extended;

    private async ValueTask<WritePlan> PlanSubclustersAsync(L2Slice slice, GuestOffset at, GuestOffset end, WriteIntent intent)
    {
        GuestCluster first = at.Cluster(_geometry);
        await CheckOldMappingAsync(slice, first).ConfigureAwait(false);
        ExtendedL2Entry entry = slice.EntryOf(first);
        if (!Takes(entry, SubclustersIn(first, at, end), intent))
        {
            return WritePlan.LookAgain;
        }

        InFlightAllocation? other = entry.HasOwnHostCluster
            ? _inFlight.FindFilling(first, SubclusterStart(at), Min(SubclusterEnd(end), first.Plus(1).Offset(_geometry)))
            : _inFlight.Find(first);
        if (other is not null)
        {
            return new WritePlan(Busy: other.Done);
        }

        return entry.HasOwnHostCluster
            ? await PlanOwnSubclustersAsync(slice, at, end, intent).ConfigureAwait(false)
            : await PlanNewClustersAsync(slice, at, end, intent).ConfigureAwait(false);
    }

    /// <summary>Subclusters of host clusters that belong to these guest clusters already. A run goes on into the next cluster while its host cluster follows.</summary>
    private async ValueTask<WritePlan> PlanOwnSubclustersAsync(L2Slice slice, GuestOffset at, GuestOffset end, WriteIntent intent)
    {
        GuestCluster first = at.Cluster(_geometry);
        HostOffset host = slice[first].HostOffset;
        GuestOffset fillEnd = at;
        int count = 0;
        for (GuestCluster cluster = first; fillEnd.Value < end.Value && cluster.Index < slice.End.Index; cluster = cluster.Plus(1))
        {
            if (count > 0)
            {
                if (_inFlight.Find(cluster) is not null)
                {
                    break;
                }

                await CheckOldMappingAsync(slice, cluster).ConfigureAwait(false);
            }

            ExtendedL2Entry entry = slice.EntryOf(cluster);
            uint written = SubclustersIn(cluster, Max(at, cluster.Offset(_geometry)), end);
            bool follows = entry.HasOwnHostCluster && entry.Cluster.HostOffset == host.Plus((long)count << _geometry.ClusterBits);
            int run = UnstoredRun(entry, written);
            if (!follows || run == 0 || !Takes(entry, written, intent))
            {
                break;
            }

            int firstSubcluster = BitOperations.TrailingZeroCount(written);
            fillEnd = cluster.Offset(_geometry).Plus((long)(firstSubcluster + run) << _geometry.SubclusterBits);
            count++;
            if (firstSubcluster + run < ExtendedL2Entry.SubclusterCount)
            {
                break;
            }
        }

        return count == 0 ? WritePlan.LookAgain : Record(slice, new HostRun(host.Cluster(_geometry), count, HostOrigin.Own), first, SubclusterStart(at), fillEnd);
    }

    /// <summary>New host clusters for guest clusters that have none that may be written.</summary>
    private async ValueTask<WritePlan> PlanNewClustersAsync(L2Slice slice, GuestOffset at, GuestOffset end, WriteIntent intent)
    {
        GuestCluster first = at.Cluster(_geometry);
        int wanted = 1;
        for (GuestCluster next = first.Plus(1); next.Offset(_geometry).Value < end.Value && next.Index < slice.End.Index && _inFlight.Find(next) is null; next = next.Plus(1), wanted++)
        {
            await CheckOldMappingAsync(slice, next).ConfigureAwait(false);
            ExtendedL2Entry entry = slice.EntryOf(next);
            if (entry.HasOwnHostCluster || !Takes(entry, SubclustersIn(next, next.Offset(_geometry), end), intent))
            {
                break;
            }
        }

        if (await AllocateDataAsync(first, wanted).ConfigureAwait(false) is not { } host)
        {
            return WritePlan.Grow;
        }

        // What the old places hold of the first and of the last cluster moves along.
        GuestCluster last = first.Plus(host.Count - 1);
        GuestOffset fillStart = SubclusterStart(at);
        GuestOffset fillEnd = Min(SubclusterEnd(end), last.Plus(1).Offset(_geometry));
        if (slice.EntryOf(first).Stored is var head and not 0)
        {
            fillStart = Min(fillStart, first.Offset(_geometry).Plus((long)BitOperations.TrailingZeroCount(head) << _geometry.SubclusterBits));
        }

        if (slice.EntryOf(last).Stored is var tail and not 0)
        {
            fillEnd = Max(fillEnd, last.Offset(_geometry).Plus((long)(BitOperations.Log2(tail) + 1) << _geometry.SubclusterBits));
        }

        return Record(slice, host, first, fillStart, fillEnd);
    }

    private WritePlan Record(L2Slice slice, HostRun host, GuestCluster first, GuestOffset fillStart, GuestOffset fillEnd)
    {
        var allocation = new InFlightAllocation(first, host.Count, host, slice, fillStart, fillEnd);
        _inFlight.Add(allocation);
        return new WritePlan(allocation);
    }

    /// <summary>The second word of an entry once an allocation is published: as it is now, with data in what was filled.</summary>
    private ulong SubclustersAfter(InFlightAllocation allocation, GuestCluster cluster, L2Entry entry)
    {
        if (!HasSubclusters || entry.IsCompressed)
        {
            return 0;
        }

        GuestOffset from = Max(allocation.FillStart, cluster.Offset(_geometry));
        uint filled = from.Value < allocation.FillEnd.Value ? SubclustersIn(cluster, from, allocation.FillEnd) : 0;
        return allocation.Slice.EntryOf(cluster).WithData(filled).Subclusters;
    }

    /// <summary>
    /// The entry that says zero of these subclusters, as far as the intent asks for it; perhaps the old one. A host cluster of which nothing is stored any more is
    /// kept only by who wants to keep room.
    /// </summary>
    /// <returns>Null for a part of a stream: zeroes have to be written as data.</returns>
    private ExtendedL2Entry? ZeroedEntry(ExtendedL2Entry old, uint subclusters, ZeroIntent intent)
    {
        if (intent == ZeroIntent.Populate)
        {
            return old.WithZeroes(subclusters & old.Unallocated);
        }

        bool isWhole = subclusters == uint.MaxValue;
        if (old.Cluster.IsCompressed)
        {
            return isWhole ? new ExtendedL2Entry(L2Entry.Unallocated, 0).WithZeroes(subclusters)
                : intent == ZeroIntent.Discard ? old
                : null;
        }

        // Without a backing file what is unallocated reads as zeroes as it is.
        ExtendedL2Entry zeroed = old.WithZeroes(HasBacking ? subclusters : subclusters & ~old.Unallocated);
        bool keepsRoom = zeroed.Allocated != 0 || (intent == ZeroIntent.Keep && (old.Cluster.IsCopied || !isWhole));
        return keepsRoom ? zeroed : zeroed with { Cluster = L2Entry.Unallocated };
    }

    /// <summary>A guest's write goes anywhere; a copy from below only where nothing is allocated.</summary>
    private static bool Takes(ExtendedL2Entry entry, uint subclusters, WriteIntent intent)
        => intent == WriteIntent.Replace || (entry.Unallocated & subclusters) == subclusters;

    /// <summary>How many of the written subclusters come before the first that is stored already.</summary>
    private static int UnstoredRun(ExtendedL2Entry entry, uint written)
    {
        int first = BitOperations.TrailingZeroCount(written);
        ulong unstored = written & ~entry.Allocated;
        return BitOperations.TrailingZeroCount(~(unstored >> first));
    }

    /// <summary>The subclusters of a cluster that a guest range touches, the range cut to the cluster. All of it where entries are standard.</summary>
    private uint SubclustersIn(GuestCluster cluster, GuestOffset from, GuestOffset to)
    {
        if (!HasSubclusters)
        {
            return uint.MaxValue;
        }

        long start = cluster.Offset(_geometry).Value;
        int first = (int)(from.Value - start) >> _geometry.SubclusterBits;
        long end = Math.Min(to.Value - start, _geometry.ClusterSize);
        return ExtendedL2Entry.Mask(first, (int)((end + _geometry.SubclusterSize - 1) >> _geometry.SubclusterBits));
    }

    private GuestOffset SubclusterStart(GuestOffset at) => new(Alignment.RoundDown(at.Value, _geometry.SubclusterSize));

    private GuestOffset SubclusterEnd(GuestOffset end) => new(Alignment.RoundUp(end.Value, _geometry.SubclusterSize));

    private static GuestOffset Min(GuestOffset left, GuestOffset right) => left.Value < right.Value ? left : right;

    private static GuestOffset Max(GuestOffset left, GuestOffset right) => left.Value > right.Value ? left : right;
}
