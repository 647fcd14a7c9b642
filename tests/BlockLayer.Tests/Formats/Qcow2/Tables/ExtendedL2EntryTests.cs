using BlockLayer.Formats.Qcow2;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Tables;

/// <summary>Both words of an extended entry, and slices made of them.</summary>
public sealed class ExtendedL2EntryTests
{
    private const int ClusterSize = 1 << 16;
    private const int Subcluster = ClusterSize / 32;
    private const long FileLength = 64 * ClusterSize;

    private static readonly ClusterGeometry s_geometry = new(clusterBits: 16, refcountOrder: 4, L2EntryFormat.Extended);
    private static readonly L2Entry s_host = L2Entry.ForData(new HostOffset(3 * ClusterSize));

    [Fact]
    public void A_subcluster_is_data_or_zeroes_and_never_both()
    {
        ExtendedL2Entry entry = new ExtendedL2Entry(s_host, 0).WithData(0xff).WithZeroes(0xf0).WithData(0x30);
        Assert.Equal((0x3fu, 0xc0u, ~0xffu), (entry.Allocated, entry.Zero, entry.Unallocated));
        Assert.Equal(EntryFault.None, entry.Validate(s_geometry, version: 3, FileLength));
    }

    [Fact]
    public void A_run_ends_where_the_kind_changes_or_the_cluster_ends()
    {
        ExtendedL2Entry entry = new ExtendedL2Entry(s_host, 0).WithData(ExtendedL2Entry.Mask(4, 9)).WithZeroes(ExtendedL2Entry.Mask(30, 32));
        Assert.Equal([4, 5, 3, 21, 2, 1], new[] { 0, 4, 6, 9, 30, 31 }.Select(entry.RunFrom));
    }

    [Theory]
    [InlineData(0, 1, 1u)]
    [InlineData(31, 32, 0x8000_0000u)]
    [InlineData(0, 32, uint.MaxValue)]
    [InlineData(8, 12, 0xf00u)]
    public void A_mask_has_a_bit_for_each_subcluster_of_a_range(int first, int end, uint mask) => Assert.Equal(mask, ExtendedL2Entry.Mask(first, end));

    [Fact]
    public void A_slice_goes_back_to_disk_as_it_came_but_for_the_zero_flag_that_means_nothing()
    {
        ulong[] words = [s_host.Raw | 1, 0xff, 0, 0x1_0000_0000, 0, 0];
        var slice = new L2Slice(s_geometry, new GuestCluster(0), [.. words], version: 3, FileLength);
        words[0] &= ~1UL;
        Assert.Equal(WordTable.ToBytes(words), slice.ToBytes());
        Assert.True(slice.TryLookup(new GuestOffset(0), ClusterSize, out ClusterMapping run));
        Assert.Equal((ClusterKind.Data, 8L * Subcluster), (run.Kind, run.Length));
    }

    // Neither flag makes a cluster of offset 0, which is the header's.
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(1UL << 63)]
    [InlineData(1UL << 63 | 1)]
    public void Stored_subclusters_need_a_host_cluster_whatever_the_flags_say(ulong first)
    {
        var slice = new L2Slice(s_geometry, new GuestCluster(0), [first, 1], version: 3, FileLength);
        Assert.False(slice.TryLookup(new GuestOffset(0), Subcluster, out _));
        Assert.Equal(EntryFault.SubclusterWithoutCluster, slice.FaultOf(new GuestCluster(0)));
    }

    [Fact]
    public void A_run_goes_on_into_the_next_cluster_while_the_host_bytes_do()
    {
        ulong second = L2Entry.ForData(new HostOffset(4 * ClusterSize)).Raw;
        ulong[] words = [s_host.Raw, 0xfff0_0000, second, 0x3];
        var slice = new L2Slice(s_geometry, new GuestCluster(0), words, version: 3, FileLength);
        Assert.True(slice.TryLookup(new GuestOffset((20 * Subcluster) + 5), ClusterSize, out ClusterMapping run));
        Assert.Equal((ClusterKind.Data, (3L * ClusterSize) + (20 * Subcluster) + 5, (14L * Subcluster) - 5), (run.Kind, run.HostOffset.Value, run.Length));
    }

    [Fact]
    public void Only_stored_subclusters_of_a_trusted_cluster_may_be_overwritten()
    {
        ulong[] words = [s_host.Raw, 0x0000_00f0];
        var slice = new L2Slice(s_geometry, new GuestCluster(0), words, version: 3, FileLength);
        Assert.Equal(0, slice.LookupWritable(new GuestOffset(4 * Subcluster), ClusterSize, generation: 1, out _));
        slice.Trust(new GuestCluster(0), generation: 1);
        Assert.Equal((4 * Subcluster) - 1, slice.LookupWritable(new GuestOffset((4 * Subcluster) + 1), ClusterSize, generation: 1, out HostOffset host));
        Assert.Equal((3L * ClusterSize) + (4 * Subcluster) + 1, host.Value);
        Assert.Equal(0, slice.LookupWritable(new GuestOffset(0), ClusterSize, generation: 1, out _));
    }

    // The mixture of the two states would be data at offset 0, or zeroes with a host cluster.
    [Fact]
    public async Task A_reader_without_a_lock_never_sees_half_of_an_entry()
    {
        var slice = new L2Slice(s_geometry, new GuestCluster(0), [s_host.Raw, uint.MaxValue], version: 3, FileLength);
        bool stop = false;
        Task writer = Task.Run(() =>
        {
            for (int i = 0; !Volatile.Read(ref stop); i++)
            {
                bool isData = (i & 1) != 0;
                slice.Set(new GuestCluster(0), isData ? s_host : L2Entry.Unallocated, isData ? uint.MaxValue : (ulong)uint.MaxValue << 32);
            }
        });
        int dataReads = 0;
        int halves = 0;
        for (int i = 0; i < 3_000_000 || dataReads == 0 || dataReads == i; i++) // until the writer was seen at work, whenever it is given a processor
        {
            Assert.True(slice.TryLookup(new GuestOffset(Subcluster), Subcluster, out ClusterMapping run));
            bool isData = run.Kind == ClusterKind.Data && run.HostOffset.Value == (3 * ClusterSize) + Subcluster;
            dataReads += isData ? 1 : 0;
            halves += isData || run.Kind == ClusterKind.ZeroPlain ? 0 : 1;
        }

        Volatile.Write(ref stop, true);
        await writer;
        Assert.Equal(0, halves);
    }
}
