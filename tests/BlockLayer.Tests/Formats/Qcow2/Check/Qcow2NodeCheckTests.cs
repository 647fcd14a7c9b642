using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Check;

public sealed class Qcow2NodeCheckTests
{
    [Theory]
    [InlineData(2, 512, 16)]
    [InlineData(3, 512, 1)]
    [InlineData(3, 4096, 64)]
    [InlineData(3, 65536, 16)]
    public async Task Open_image_is_clean_at_any_time(int version, int clusterSize, int refcountBits)
    {
        Random random = new(clusterSize + refcountBits);
        TestWorld world = new();
        await world.CreateAsync("image", new Qcow2CreateOptions { Length = 1 << 20, Version = version, ClusterSize = clusterSize, RefcountBits = refcountBits });
        await using Qcow2Node node = await world.OpenAsync("image");
        for (int step = 0; step < 60; step++)
        {
            long offset = random.Next(1 << 20);
            int length = (int)Math.Min(random.Next(1, 100_000), (1 << 20) - offset);
            await (random.Next(3) switch
            {
                0 => node.DiscardAsync(offset, length),
                1 => node.WriteZeroesAsync(offset, length, ZeroFlags.MayUnmap),
                _ => node.WriteAsync(offset, Pattern.Of(offset, length, step)),
            });
            if (step % 10 == 9)
            {
                ImageCheckReport report = await ImageChecker.CheckAsync(node);
                Assert.True(report.IsClean, $"after step {step}: {string.Join('\n', report.Findings)}");
            }
        }
    }

    [Fact]
    public async Task Image_open_for_reading_is_checked_and_not_written()
    {
        TestWorld world = new();
        await world.CreateAsync("image", new Qcow2CreateOptions { Length = 1 << 20 });
        await using Qcow2Node node = await world.OpenAsync("image", NodeAccess.ReadOnly);
        ImageCheckReport report = await ImageChecker.CheckAsync(node);
        Assert.True(report.IsClean);
        Assert.Equal((16, 0), (report.TotalClusters, report.AllocatedClusters));
    }
}
