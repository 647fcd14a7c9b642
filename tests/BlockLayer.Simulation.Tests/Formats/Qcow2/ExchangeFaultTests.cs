using BlockLayer.Formats.Qcow2;
using Xunit;

namespace BlockLayer.Simulation.Tests.Formats.Qcow2;

/// <summary>A write to the file fails while tables are exchanged, each in turn, done or not: the change is refused, or over, and the image goes on.</summary>
public sealed class ExchangeFaultTests
{
    private const int ClusterSize = 512;
    private const int Length = 40 * ClusterSize;

    public static TheoryData<string, FaultEffect> Faults =>
    [
        .. from change in new[] { "create", "apply", "delete", "widen", "downgrade", "upgrade" }
           from effect in new[] { FaultEffect.Fail, FaultEffect.FailPartly, FaultEffect.FailAfterwards }
           select (change, effect),
    ];

    [Theory]
    [MemberData(nameof(Faults))]
    public async Task Any_write_that_fails_leaves_an_image_that_goes_on(string change, FaultEffect effect)
    {
        int writes = 0;
        while (await FailsAsync(change, effect, skip: writes))
        {
            writes++;
        }

        Assert.InRange(writes, 1, 1000);
    }

    /// <summary>Lets one write fail; false when the change has no such write.</summary>
    private static async Task<bool> FailsAsync(string change, FaultEffect effect, int skip)
    {
        var world = new TableExchangeWorld(new Qcow2CreateOptions { Length = Length, ClusterSize = ClusterSize, Version = change == "upgrade" ? 2 : 3 });
        await world.PrepareAsync(async node =>
        {
            await node.WriteAsync(0, GuestStamp.Create(0, Length, writer: 1));
            await node.CreateSnapshotAsync("first", CancellationToken.None);
            await node.WriteAsync(0, GuestStamp.Create(0, Length / 2, writer: 2));
            await node.WriteZeroesAsync(ClusterSize, ClusterSize);
        });
        return await world.FailAsync(
            new FaultRule { Operations = StorageOperations.Write | StorageOperations.WriteZeroes, Skip = skip, Count = 1, Effect = effect },
            node => DoAsync(node, change));
    }

    private static async Task DoAsync(Qcow2Node node, string change)
    {
        switch (change)
        {
            case "create":
                await node.CreateSnapshotAsync("second", CancellationToken.None);
                break;
            case "apply":
                await node.ApplySnapshotAsync("first", CancellationToken.None);
                break;
            case "delete":
                await node.DeleteSnapshotAsync("first", CancellationToken.None);
                break;
            default:
                (string option, string value) = change switch { "widen" => ("refcount_bits", "32"), "downgrade" => ("compat", "0.10"), _ => ("compat", "1.1") };
                await node.AmendAsync(new Dictionary<string, string> { [option] = value }, CancellationToken.None);
                break;
        }
    }
}
