using BlockLayer.Errors;
using BlockLayer.Images;
using Xunit;

namespace BlockLayer.Simulation.Tests.Jobs;

/// <summary>
/// A flush of a disk has failed, so what was written may never become durable. No overlay is put on it then: a flush of the overlay would succeed, and be taken for one of all that was
/// written before. Seen by <c>blk simulate --first 2007346 --disks 4 --operators 3</c>.
/// </summary>
public sealed class SnapshotAfterFailedFlushTests
{
    private const int Length = 256 * 1024;

    private readonly SimulatedMachine _machine = new();

    [Theory]
    [InlineData("raw")]
    [InlineData("qcow2")]
    [InlineData("qed")]
    [InlineData("add-cow")]
    public void An_image_of_which_a_flush_has_failed_does_not_become_a_backing_file(string format) => _machine.Run(async () =>
    {
        var options = new Dictionary<string, string>();
        if (format == "add-cow")
        {
            options.Add("image_file", "disk.raw");
        }

        Disk disk = await Disk.CreateAsync("/vm/disk", new NewImage { Format = format, Length = Length, Options = options }, _machine.As(format));
        await disk.WriteAsync(0, GuestStamp.Create(0, Length, writer: 1));
        _machine.Storage.Faults.Add(new FaultRule { Operations = StorageOperations.Flush, Path = format == "add-cow" ? "/vm/disk.raw" : "/vm/disk", Count = 1 });
        await Assert.ThrowsAsync<BlockLayerException>(async () => await disk.FlushAsync());

        BlockLayerException refusal = await Assert.ThrowsAsync<BlockLayerException>(async () => await disk.SwitchAsync("/vm/overlay"));
        Assert.Equal(BlockErrorKind.Io, refusal.Kind);
        Assert.Equal(["/vm/disk"], disk.Chain.Select(static image => image.Path));
        Assert.Null(_machine.Storage.GetInfo("/vm/overlay"));
        await Assert.ThrowsAsync<BlockLayerException>(async () => await disk.FlushAsync()); // as before
        try
        {
            await disk.DisposeAsync();
        }
        catch (BlockLayerException)
        {
            // Some formats have something left to write, and cannot.
        }
    });
}
