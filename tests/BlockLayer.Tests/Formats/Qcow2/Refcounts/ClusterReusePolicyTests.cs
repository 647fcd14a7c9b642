using BlockLayer.Formats.Qcow2;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Refcounts;

public sealed class ClusterReusePolicyTests
{
    [Theory]
    [InlineData(6, 12, false)] // the drop is not durable
    [InlineData(7, 11, false)] // somebody may still see the cluster
    [InlineData(7, 12, true)]
    [InlineData(9, 15, true)]
    public void A_cluster_is_used_again_when_its_drop_is_durable_and_nobody_sees_it(long durableDrop, long epoch, bool expected)
        => Assert.Equal(expected, ClusterReusePolicy.Safe.MayReuse(new ReleasedRun(new HostCluster(5), 1, Drop: 7, Epoch: 10, ReleasedRoom.Keep), durableDrop, epoch));
}
