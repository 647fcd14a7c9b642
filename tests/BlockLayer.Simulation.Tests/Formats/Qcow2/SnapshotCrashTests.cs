using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using Xunit;

namespace BlockLayer.Simulation.Tests.Formats.Qcow2;

/// <summary>Crashes while snapshots are created, applied and deleted. The tables are exchanged by one sector, so nothing is lost, not even room.</summary>
public sealed class SnapshotCrashTests
{
    private const int ClusterSize = 512;
    private const int Length = 80 * ClusterSize;

    public static TheoryData<string> Images => ["version 3", "version 2", "counts of 4 bits", "extended entries"];

    [Theory]
    [MemberData(nameof(Images))]
    public async Task A_crash_while_a_snapshot_is_created_leaves_it_or_none(string image)
        => await TryAsync(image, "create a snapshot", static node => node.CreateSnapshotAsync("new", CancellationToken.None).AsTask());

    [Theory]
    [MemberData(nameof(Images))]
    public async Task A_crash_while_a_snapshot_is_applied_leaves_the_disk_before_or_after(string image)
        => await TryAsync(image, "apply a snapshot", static node => node.ApplySnapshotAsync("first", CancellationToken.None).AsTask());

    [Theory]
    [MemberData(nameof(Images))]
    public async Task A_crash_while_a_snapshot_is_deleted_leaves_it_or_none(string image)
        => await TryAsync(image, "delete a snapshot", static node => node.DeleteSnapshotAsync("first", CancellationToken.None).AsTask());

    private static async Task TryAsync(string image, string what, Func<Qcow2Node, Task> change)
    {
        var world = new TableExchangeWorld(OptionsOf(image));
        await world.PrepareAsync(async node =>
        {
            await node.WriteAsync(0, GuestStamp.Create(0, Length, writer: 1));
            await node.WriteAsync(Length / 2, new byte[node.Limits.ClusterSize], WriteFlags.Compressed);
            await node.CreateSnapshotAsync("first", CancellationToken.None);
            await node.WriteAsync(0, GuestStamp.Create(0, 8 * ClusterSize, writer: 2));
            if (node.Header.Version == 3)
            {
                await node.ResizeAsync(2 * Length);
            }

            await node.CreateSnapshotAsync("second", CancellationToken.None);
            await node.DiscardAsync(Length / 4, Length / 4);
            await node.WriteAsync(ClusterSize, GuestStamp.Create(ClusterSize, 4 * ClusterSize, writer: 3));
        });
        Assert.Equal(0, await world.ChangeAsync($"qcow2, {image}: {what}", change));
    }

    private static Qcow2CreateOptions OptionsOf(string image) => image switch
    {
        "version 3" => new() { Length = Length, ClusterSize = ClusterSize },
        "version 2" => new() { Length = Length, ClusterSize = ClusterSize, Version = 2 },
        "counts of 4 bits" => new() { Length = Length, ClusterSize = 2048, RefcountBits = 4 },
        "extended entries" => new() { Length = Length, ClusterSize = 16 << 10, ExtendedL2 = true },
        _ => throw new ArgumentOutOfRangeException(nameof(image)),
    };
}
