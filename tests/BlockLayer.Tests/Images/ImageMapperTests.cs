using BlockLayer.Graph;
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

    // The runs, depths and flags are those that qemu-img map shows for such a chain.
    [Fact]
    public async Task An_overlay_longer_than_its_backing_file_shows_who_decides_each_run()
    {
        await using (Disk template = await _world.CreateAsync("/template.qcow2", "qcow2", 4 << 20))
        {
            await template.WriteAsync(0, Pattern.Of(0, 65536, writer: 1));
            await template.WriteAsync(131072, Pattern.Of(131072, 65536, writer: 1));
            await template.WriteZeroesAsync(131072, 65536);
        }

        await using Disk disk = await _world.CreateAsync("/top.qcow2", "qcow2", 8 << 20, new BackingReference("template.qcow2", "qcow2"));
        await disk.WriteAsync(1 << 20, Pattern.Of(1 << 20, 65536, writer: 2));
        List<MapExtent> map = await ImageMapper.MapAsync(disk.Root).ToListAsync();
        Assert.Equal(
            [
                (0, 65536, 1, "data"),
                (65536, 65536, 1, "absent"),
                (131072, 65536, 1, "zero"),
                (196608, 851968, 1, "absent"),
                (1048576, 65536, 0, "data"),
                (1114112, 3080192, 1, "absent"),
                (4194304, 4194304, 0, "absent"),
            ],
            map.Select(run => (run.Start, run.Length, run.Depth, run.IsData ? "data" : run.IsPresent ? "zero" : "absent")));
        Assert.All(map.Where(run => run.IsData), run => Assert.NotNull(run.HostOffset));
        Assert.Equal(["/template.qcow2", "/top.qcow2"], map.Where(run => run.IsData).Select(run => run.Path));
    }

    [Fact]
    public async Task An_empty_disk_has_an_empty_map()
    {
        await using Disk disk = await _world.CreateRawAsync("/disk.raw", 0);
        Assert.Empty(await ImageMapper.MapAsync(disk.Root).ToListAsync());
    }
}
