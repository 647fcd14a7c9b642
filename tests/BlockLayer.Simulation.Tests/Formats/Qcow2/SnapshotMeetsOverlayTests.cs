using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using Xunit;

namespace BlockLayer.Simulation.Tests.Formats.Qcow2;

/// <summary>
/// An internal snapshot that waits for its turn while an overlay is put on the image, which nobody may write from then on. What was written to it all the same would never be flushed, and a
/// crash could leave the old header beside clusters that were given back. Seen by <c>blk simulate --first 11331</c>.
/// </summary>
public sealed class SnapshotMeetsOverlayTests
{
    [Fact]
    public void A_snapshot_is_refused_when_an_overlay_comes_first()
    {
        var machine = new SimulatedMachine();
        machine.Run(async () =>
        {
            await using Disk disk = await machine.CreateAsync("/disk", 64 * 1024);
            BlockNode image = disk.Chain[0];
            Task<SnapshotInfo>? waiting = null;
            await DiskSnapshot.TakeAsync(
                [new DiskOverlay(disk, "/overlay", new OverlayOptions { Format = "qcow2" })],
                record: _ =>
                {
                    waiting = ImageSnapshots.CreateAsync(image, "kept", cancellationToken: CancellationToken.None).AsTask();
                    return ValueTask.CompletedTask;
                });
            BlockLayerException refusal = await Assert.ThrowsAsync<BlockLayerException>(() => waiting!);
            Assert.Equal(BlockErrorKind.ReadOnly, refusal.Kind);
            Assert.Empty(await ImageSnapshots.ListAsync(image));
        });
    }
}
