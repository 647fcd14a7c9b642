using BlockLayer.Errors;
using BlockLayer.Images;
using BlockLayer.Simulation;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Images;

/// <summary>Commits of images that somebody uses although nobody should.</summary>
public class ImageCommitterTests
{
    private const int Length = 1 << 20;

    [Theory]
    [InlineData("qcow2")]
    [InlineData("qed")]
    public void What_is_written_while_an_image_is_committed_is_not_emptied_away(string format)
    {
        var machine = new SimulatedMachine();
        machine.Run(async () =>
        {
            await (await machine.CreateAsync("/base", Length, format: format)).DisposeAsync();
            await using Disk disk = await machine.CreateAsync("/top", Length, "/base", format);
            await disk.WriteAsync(0, Pattern.Of(0, 4096, writer: 1));
            Task? write = null;
            var whenAllIsCopied = new Reporter(progress =>
            {
                if (progress.Done == Length)
                {
                    write = disk.WriteAsync(0, Pattern.Of(0, 4096, writer: 2)).AsTask();
                }
            });
            BlockLayerException refusal = await Assert.ThrowsAsync<BlockLayerException>(() => ImageCommitter.CommitAsync(disk.Root, progress: whenAllIsCopied).AsTask());
            Assert.Equal(
                (BlockErrorKind.Conflict, "'/top' was written while it was committed, and is not emptied: what was written is in it alone. Commit it again."),
                (refusal.Kind, refusal.Message));
            await write!;
            byte[] content = new byte[4096];
            await disk.ReadAsync(0, content);
            Assert.Equal(Pattern.Of(0, 4096, writer: 2), content);

            Assert.True((await ImageCommitter.CommitAsync(disk.Root)).EmptiesImage);
            await disk.ReadAsync(0, content);
            Assert.Equal(Pattern.Of(0, 4096, writer: 2), content);
            Assert.Empty(disk.Chain[0].Bitmaps);
        });
    }
}
