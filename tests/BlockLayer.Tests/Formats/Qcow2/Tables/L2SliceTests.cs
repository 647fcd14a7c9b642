using BlockLayer.Formats.Qcow2;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Tables;

public sealed class L2SliceTests
{
    private const int ClusterSize = 4096;
    private const long FileLength = 1 << 20;
    private const long Generation = 3;

    private static readonly ClusterGeometry s_geometry = new(clusterBits: 12, refcountOrder: 4, L2EntryFormat.Standard);

    [Fact]
    public void A_run_goes_on_while_the_host_clusters_do()
    {
        L2Slice slice = Make(Data(10), Data(11), Data(12), Data(14));
        Assert.True(slice.TryLookup(new GuestOffset(100), 4 * ClusterSize, out ClusterMapping run));
        Assert.Equal(ClusterKind.Data, run.Kind);
        Assert.Equal((10 * ClusterSize) + 100, run.HostOffset.Value);
        Assert.Equal((3 * ClusterSize) - 100, run.Length);
    }

    [Fact]
    public void A_run_goes_on_over_clusters_that_a_snapshot_shares()
    {
        L2Slice slice = Make(Data(10), Data(11).WithCopied(false), Data(12), Data(13).WithCopied(false), Data(15).WithCopied(false));
        Assert.True(slice.TryLookup(new GuestOffset(0), 5 * ClusterSize, out ClusterMapping run));
        Assert.Equal(4 * ClusterSize, run.Length);
    }

    [Fact]
    public void A_run_is_never_longer_than_asked_for()
    {
        L2Slice slice = Make(Data(10), Data(11));
        Assert.True(slice.TryLookup(new GuestOffset(4000), 200, out ClusterMapping run));
        Assert.Equal(200, run.Length);
    }

    [Fact]
    public void Unallocated_clusters_and_plain_zeroes_are_runs_of_their_own()
    {
        L2Slice slice = Make(L2Entry.Unallocated, L2Entry.Unallocated, L2Entry.ZeroPlain, L2Entry.ZeroPlain, L2Entry.Unallocated);
        Assert.True(slice.TryLookup(new GuestOffset(0), 5 * ClusterSize, out ClusterMapping first));
        Assert.True(slice.TryLookup(new GuestOffset(2 * ClusterSize), 5 * ClusterSize, out ClusterMapping second));
        Assert.Equal((ClusterKind.Unallocated, 2L * ClusterSize), (first.Kind, first.Length));
        Assert.Equal((ClusterKind.ZeroPlain, 2L * ClusterSize), (second.Kind, second.Length));
    }

    [Fact]
    public void A_compressed_run_ends_with_its_cluster()
    {
        L2Entry compressed = L2Entry.ForCompressed(CompressedDescriptor.ForStream(new HostOffset(5 * ClusterSize), 100, s_geometry), s_geometry);
        L2Slice slice = Make(compressed, compressed);
        Assert.True(slice.TryLookup(new GuestOffset(0), 2 * ClusterSize, out ClusterMapping run));
        Assert.Equal((ClusterKind.Compressed, (long)ClusterSize), (run.Kind, run.Length));
    }

    [Fact]
    public void An_unusable_entry_ends_the_run_before_it_and_starts_none()
    {
        L2Slice slice = Make(Data(10), Data((int)(FileLength / ClusterSize)));
        Assert.True(slice.TryLookup(new GuestOffset(0), 2 * ClusterSize, out ClusterMapping run));
        Assert.Equal(ClusterSize, run.Length);
        Assert.False(slice.TryLookup(new GuestOffset(ClusterSize), 1, out _));
        Assert.Equal(EntryFault.PastEnd, slice.FaultOf(new GuestCluster(1)));
    }

    [Fact]
    public void Only_what_is_copied_and_trusted_may_be_overwritten()
    {
        L2Slice slice = Make(Data(10), Data(11), Data(12), Data(13).WithCopied(false));
        Assert.Equal(0, slice.LookupWritable(new GuestOffset(0), ClusterSize, Generation, out _));
        slice.Trust(new GuestCluster(0), Generation);
        slice.Trust(new GuestCluster(1), Generation);
        slice.Trust(new GuestCluster(3), Generation);

        int length = slice.LookupWritable(new GuestOffset(50), 4 * ClusterSize, Generation, out HostOffset host);

        Assert.Equal((2 * ClusterSize) - 50, length);
        Assert.Equal((10 * ClusterSize) + 50, host.Value);
        Assert.Equal(0, slice.LookupWritable(new GuestOffset(3 * ClusterSize), 1, Generation, out _));
    }

    [Fact]
    public void Trust_ends_with_its_generation()
    {
        L2Slice slice = Make(Data(10), Data(11));
        slice.Trust(new GuestCluster(0), Generation);
        Assert.True(slice.IsTrusted(new GuestCluster(0), Generation));
        Assert.False(slice.IsTrusted(new GuestCluster(0), Generation + 1));
        slice.Trust(new GuestCluster(1), Generation + 1);
        Assert.False(slice.IsTrusted(new GuestCluster(0), Generation + 1));
        Assert.True(slice.IsTrusted(new GuestCluster(1), Generation + 1));
    }

    private static L2Entry Data(int hostCluster) => L2Entry.ForData(new HostCluster(hostCluster).Offset(s_geometry));

    private static L2Slice Make(params L2Entry[] entries)
        => new(s_geometry, new GuestCluster(0), [.. entries.Select(entry => entry.Raw)], version: 3, FileLength);
}
