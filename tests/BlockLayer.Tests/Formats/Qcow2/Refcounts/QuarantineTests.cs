using BlockLayer.Formats.Qcow2;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Refcounts;

public sealed class QuarantineTests
{
    [Fact]
    public void Neighbours_released_in_the_same_way_are_one_run()
    {
        var quarantine = new Quarantine();
        quarantine.Add(Run(10));
        quarantine.Add(Run(11));
        quarantine.Add(Run(12));
        Assert.True(quarantine.TryPeek(out ReleasedRun run));
        Assert.Equal(Run(10) with { Count = 3 }, run);
    }

    [Theory]
    [InlineData(12, 1, 1, ReleasedRoom.Keep)]     // not a neighbour
    [InlineData(11, 2, 1, ReleasedRoom.Keep)]     // dropped by a later flush
    [InlineData(11, 1, 2, ReleasedRoom.Keep)]     // seen by later requests
    [InlineData(11, 1, 1, ReleasedRoom.GiveBack)] // released otherwise
    public void Others_keep_their_place(long cluster, long drop, long epoch, object room)
    {
        var quarantine = new Quarantine();
        var second = new ReleasedRun(new HostCluster(cluster), 1, drop, epoch, (ReleasedRoom)room);
        quarantine.Add(Run(10));
        quarantine.Add(second);
        Assert.True(quarantine.TryPeek(out ReleasedRun run));
        Assert.Equal(Run(10), run);
        quarantine.Remove(1);
        Assert.True(quarantine.TryPeek(out run));
        Assert.Equal(second, run);
    }

    [Fact]
    public void A_run_leaves_piece_by_piece()
    {
        var quarantine = new Quarantine();
        quarantine.Add(Run(10) with { Count = 5 });
        quarantine.Remove(2);
        Assert.True(quarantine.TryPeek(out ReleasedRun run));
        Assert.Equal(Run(12) with { Count = 3 }, run);
        quarantine.Remove(3);
        Assert.True(quarantine.IsEmpty);
        Assert.False(quarantine.TryPeek(out _));
    }

    private static ReleasedRun Run(long cluster) => new(new HostCluster(cluster), 1, Drop: 1, Epoch: 1, ReleasedRoom.Keep);
}
