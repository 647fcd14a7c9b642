using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Images;

public sealed class ImageConverterTests
{
    private const int Length = (8 << 20) + 1234;

    private readonly MemoryWorld _world = new();

    [Fact]
    public async Task The_copy_reads_as_the_source()
    {
        await using Disk source = await FilledAsync("/source.raw");
        await using Disk target = await _world.CreateRawAsync("/target.raw", Length);
        await ImageConverter.CopyAsync(source.Root, target.Root);
        Assert.Equal(CompareOutcome.Identical, (await ImageComparer.CompareAsync(source.Root, target.Root)).Outcome);
    }

    [Fact]
    public async Task Holes_are_not_read_and_zeroes_are_not_stored()
    {
        await using Disk source = await FilledAsync("/source.raw");
        await using Disk target = await _world.CreateRawAsync("/target.raw", Length);
        ConvertResult result = await ImageConverter.CopyAsync(source.Root, target.Root);
        Assert.InRange(result.ReadBytes, 2 << 20, (2 << 20) + 16384);
        Assert.Equal(1 << 20, result.WrittenBytes);
    }

    [Fact]
    public async Task Sparse_size_zero_stores_every_byte()
    {
        await using Disk source = await FilledAsync("/source.raw");
        await using Disk target = await _world.CreateRawAsync("/target.raw", Length);
        ConvertResult result = await ImageConverter.CopyAsync(source.Root, target.Root, new ConvertOptions { SparseSize = 0 });
        Assert.Equal(Length, result.WrittenBytes);
        BlockStatus status = await target.GetStatusAsync(0, Length);
        Assert.Equal((true, (long)Length), (status.IsData, status.Length));
    }

    [Fact]
    public async Task A_target_that_held_something_shows_only_the_source_afterwards()
    {
        await using Disk source = await FilledAsync("/source.raw");
        await using Disk target = await _world.CreateRawAsync("/target.raw", Length);
        await target.WriteAsync(0, Pattern.Of(0, Length, writer: 9));
        await ImageConverter.CopyAsync(source.Root, target.Root, new ConvertOptions { Target = TargetContent.Anything });
        Assert.Equal(CompareOutcome.Identical, (await ImageComparer.CompareAsync(source.Root, target.Root)).Outcome);
    }

    [Fact]
    public async Task A_shorter_target_is_refused()
    {
        await using Disk source = await FilledAsync("/source.raw");
        await using Disk target = await _world.CreateRawAsync("/target.raw", Length - 1);
        BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(async () => await ImageConverter.CopyAsync(source.Root, target.Root));
        Assert.Equal(BlockErrorKind.OutOfRange, error.Kind);
        Assert.Equal("It holds 8389841 bytes, and the source has 8389842.", error.Message);
    }

    [Fact]
    public async Task A_format_that_cannot_compress_says_so()
    {
        await using Disk source = await FilledAsync("/source.raw");
        await using Disk target = await _world.CreateRawAsync("/target.raw", Length);
        var options = new ConvertOptions { Encoding = ConvertEncoding.Compressed };
        BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(async () => await ImageConverter.CopyAsync(source.Root, target.Root, options));
        Assert.Equal((BlockErrorKind.Unsupported, "This raw image cannot store compressed data; qcow2 can, unless it is encrypted or has a data file."), (error.Kind, error.Message));
    }

    [Fact]
    public async Task Progress_rises_to_the_end()
    {
        var seen = new List<long>();
        await using Disk source = await FilledAsync("/source.raw");
        await using Disk target = await _world.CreateRawAsync("/target.raw", Length);
        await ImageConverter.CopyAsync(source.Root, target.Root, progress: new Reporter(progress => seen.Add(progress.Done)));
        Assert.Equal(seen.Order(), seen);
        Assert.Equal(Length, seen[^1]);
    }

    // One MiB of data, one of stored zeroes, holes elsewhere.
    private async Task<Disk> FilledAsync(string path)
    {
        Disk disk = await _world.CreateRawAsync(path, Length);
        await disk.WriteAsync(1 << 20, Pattern.Of(1 << 20, 1 << 20, writer: 1));
        await disk.WriteAsync(4 << 20, new byte[1 << 20]);
        return disk;
    }
}
