using BlockLayer.Images;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Images;

public sealed class ImageMapperTests
{
    private readonly MemoryWorld _world = new();

    [Fact]
    public async Task A_raw_disk_is_mapped_one_to_one_with_its_holes()
    {
        await using Disk disk = await _world.CreateRawAsync("/disk.raw", 1 << 20);
        await disk.WriteAsync(65536, Pattern.Of(65536, 131072, writer: 1));
        List<MapExtent> map = await ImageMapper.MapAsync(disk.Root).ToListAsync();
        var hole = new MapExtent(0, 65536) { IsPresent = true, IsZero = true, HostOffset = 0, Path = "/disk.raw" };
        var data = new MapExtent(65536, 131072) { IsPresent = true, IsData = true, HostOffset = 65536, Path = "/disk.raw" };
        var rest = new MapExtent(196608, 851968) { IsPresent = true, IsZero = true, HostOffset = 196608, Path = "/disk.raw" };
        Assert.Equal([hole, data, rest], map);
    }

    [Fact]
    public async Task A_part_of_the_disk_is_cut_out()
    {
        await using Disk disk = await _world.CreateRawAsync("/disk.raw", 1 << 20);
        await disk.WriteAsync(0, Pattern.Of(0, 1 << 20, writer: 1));
        List<MapExtent> map = await ImageMapper.MapAsync(disk.Root, 1000, 2000).ToListAsync();
        List<MapExtent> tail = await ImageMapper.MapAsync(disk.Root, (1 << 20) - 10, long.MaxValue).ToListAsync();
        Assert.Equal([(1000L, 2000L)], map.Select(extent => (extent.Start, extent.Length)));
        Assert.Equal([((1 << 20) - 10L, 10L)], tail.Select(extent => (extent.Start, extent.Length)));
    }

    [Fact]
    public async Task An_empty_disk_has_an_empty_map()
    {
        await using Disk disk = await _world.CreateRawAsync("/disk.raw", 0);
        Assert.Empty(await ImageMapper.MapAsync(disk.Root).ToListAsync());
    }
}
