using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Storage;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Refcounts;

public sealed class MetadataOverlapGuardTests
{
    private const int ClusterSize = 4096;

    private static readonly ClusterGeometry s_geometry = new(clusterBits: 12, refcountOrder: 4, L2EntryFormat.Standard);

    [Fact]
    public async Task Every_cluster_of_a_table_is_known_and_no_other()
    {
        await using var file = new FileUser();
        var guard = new MetadataOverlapGuard(file.Edge, s_geometry);
        guard.Add(new HostOffset(10 * ClusterSize), (2 * ClusterSize) + 1, MetadataKind.L1Table);
        guard.Add(new HostCluster(20), MetadataKind.L2Table);
        guard.Add(new HostOffset(5 * ClusterSize), ClusterSize, MetadataKind.RefcountTable);

        long[] known = [.. Enumerable.Range(0, 30).Where(cluster => guard.IsMetadata(new HostCluster(cluster))).Select(cluster => (long)cluster)];

        Assert.Equal([5, 10, 11, 12, 20], known);
        guard.RemoveTable(new HostOffset(10 * ClusterSize));
        guard.Remove(new HostCluster(20));
        Assert.False(guard.IsMetadata(new HostCluster(11)) || guard.IsMetadata(new HostCluster(20)));
        Assert.Null(guard.Evidence);
    }

    [Theory]
    [InlineData(8, 2)]  // ends in front
    [InlineData(8, 3)]
    [InlineData(10, 1)]
    [InlineData(12, 5)]
    [InlineData(13, 8)] // reaches over the single cluster
    [InlineData(21, 1)] // starts behind
    public async Task A_table_that_overlaps_another_is_evidence_and_stays_it(long first, int clusters)
    {
        await using var file = new FileUser();
        var guard = new MetadataOverlapGuard(file.Edge, s_geometry);
        guard.Add(new HostOffset(10 * ClusterSize), 3 * ClusterSize, MetadataKind.L1Table);
        guard.Add(new HostCluster(20), MetadataKind.L2Table);
        bool overlaps = (first < 13 && first + clusters > 10) || (first <= 20 && first + clusters > 20);

        Exception? refused = Record.Exception(() => guard.Add(new HostOffset(first * ClusterSize), clusters * ClusterSize, MetadataKind.RefcountTable));

        Assert.Equal(overlaps, refused is ImageFormatException { Kind: BlockErrorKind.Corrupt });
        Assert.Same(refused, guard.Evidence);
    }

    [Fact]
    public async Task Trust_is_asked_for_again_only_when_what_becomes_metadata_may_have_been_mapped()
    {
        await using var file = new FileUser(length: 50 * ClusterSize);
        var guard = new MetadataOverlapGuard(file.Edge, s_geometry);
        long before = guard.Generation;
        guard.Add(new HostCluster(50), MetadataKind.L2Table);
        Assert.Equal(before, guard.Generation);
        guard.Add(new HostCluster(49), MetadataKind.L2Table);
        Assert.NotEqual(before, guard.Generation);
    }

    /// <summary>A node with an edge to a file of some length.</summary>
    private sealed class FileUser : FilterNode
    {
        internal FileUser(long length = 0)
            : base("user", Make(length), ImagePermissions.ConsistentRead, ImagePermissions.All)
        {
        }

        public override string DriverName => "user";

        internal BlockEdge Edge => Filtered;

        private static StorageNode Make(long length)
        {
            var environment = new BlockEnvironment { Files = new MemoryStorageProvider(), Work = InlineWorkScheduler.Instance, Time = TimeProvider.System };
            var options = new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateNew };
            BlockStorage storage = environment.Files.OpenAsync("file", options, CancellationToken.None).AsTask().GetAwaiter().GetResult();
            storage.SetLengthAsync(length, CancellationToken.None).AsTask().GetAwaiter().GetResult();
            return new StorageNode(storage, environment);
        }
    }
}
