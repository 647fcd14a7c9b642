using BlockLayer.Images;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Images;

public sealed class ImageComparerTests
{
    private const int Length = 8 << 20;

    private readonly MemoryWorld _world = new();

    [Fact]
    public async Task Equal_content_is_identical_whether_zeroes_are_stored_or_not()
    {
        await using Disk left = await FilledAsync("/left.raw", Length);
        await using Disk right = await FilledAsync("/right.raw", Length);
        await right.WriteAsync(6 << 20, new byte[65536]);
        Assert.Equal(new CompareResult(CompareOutcome.Identical, Offset: null, SizesDiffer: false), await ImageComparer.CompareAsync(left.Root, right.Root));
    }

    [Fact]
    public async Task The_lowest_of_many_differences_is_reported()
    {
        await using Disk left = await FilledAsync("/left.raw", Length);
        await using Disk right = await FilledAsync("/right.raw", Length);
        for (long offset = 1_234_567; offset < Length; offset += 700_001)
        {
            await right.WriteAsync(offset, new byte[] { 0 });
            await left.WriteAsync(offset, new byte[] { 1 });
        }

        CompareResult result = await ImageComparer.CompareAsync(left.Root, right.Root);
        Assert.Equal(new CompareResult(CompareOutcome.ContentDiffers, 1_234_567, SizesDiffer: false), result);
    }

    [Fact]
    public async Task A_longer_image_may_end_in_zeroes_but_not_in_data()
    {
        await using Disk left = await FilledAsync("/left.raw", Length);
        await using Disk right = await FilledAsync("/right.raw", Length + 5000);
        CompareResult zeroTail = await ImageComparer.CompareAsync(left.Root, right.Root);
        Assert.Equal(new CompareResult(CompareOutcome.Identical, Offset: null, SizesDiffer: true), zeroTail);

        await right.WriteAsync(Length + 4999, new byte[] { 7 });
        CompareResult dataTail = await ImageComparer.CompareAsync(left.Root, right.Root);
        Assert.Equal(new CompareResult(CompareOutcome.ContentDiffers, Length + 4999, SizesDiffer: true), dataTail);
    }

    [Fact]
    public async Task Strict_mode_tells_sizes_and_allocation_apart()
    {
        await using Disk left = await FilledAsync("/left.raw", Length);
        await using Disk longer = await FilledAsync("/longer.raw", Length + 512);
        await using Disk fuller = await FilledAsync("/fuller.raw", Length);
        await fuller.WriteAsync(6 << 20, new byte[65536]);
        CompareResult sizes = await ImageComparer.CompareAsync(left.Root, longer.Root, CompareMode.Strict);
        CompareResult allocation = await ImageComparer.CompareAsync(left.Root, fuller.Root, CompareMode.Strict);
        Assert.Equal(CompareOutcome.SizeDiffers, sizes.Outcome);
        Assert.Equal(new CompareResult(CompareOutcome.AllocationDiffers, 6 << 20, SizesDiffer: false), allocation);
    }

    [Fact]
    public async Task Cancellation_ends_the_comparison()
    {
        await using Disk left = await FilledAsync("/left.raw", Length);
        await using Disk right = await FilledAsync("/right.raw", Length);
        using var stop = new CancellationTokenSource();
        var progress = new Reporter(_ => stop.Cancel());
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            async () => await ImageComparer.CompareAsync(left.Root, right.Root, CompareMode.Content, progress, stop.Token));
    }

    private async Task<Disk> FilledAsync(string path, long length)
    {
        Disk disk = await _world.CreateRawAsync(path, length);
        await disk.WriteAsync(65536, Pattern.Of(65536, 3 << 20, writer: 1));
        return disk;
    }
}
