using BlockLayer.Errors;
using BlockLayer.Storage;
using Xunit;

namespace BlockLayer.Simulation.Tests.Disks;

public class SimulatedStorageTests
{
    private static readonly StorageOpenOptions s_write = new() { Writable = true };
    private static readonly CancellationToken s_none = CancellationToken.None;

    [Fact]
    public void Requests_in_flight_complete_in_an_order_that_the_seed_decides()
    {
        string Run(ulong seed)
        {
            var scheduler = new SimulationScheduler(seed);
            var storage = new SimulatedStorageProvider(scheduler);
            storage.AddFile("/disk", new byte[4096]);
            return scheduler.Run(async () =>
            {
                await using BlockStorage disk = await storage.OpenAsync("/disk", s_write, s_none);
                var order = new List<int>();
                await Task.WhenAll(Enumerable.Range(0, 6).Select(async i =>
                {
                    await disk.ReadAsync(i * 512, new byte[512], s_none);
                    order.Add(i);
                }));
                return string.Concat(order);
            });
        }

        Assert.Equal(Run(1), Run(1));
        Assert.True(Enumerable.Range(0, 20).Select(seed => Run((ulong)seed)).Distinct().Count() > 15);
    }

    [Fact]
    public void A_write_takes_effect_when_it_completes_and_its_buffer_is_free_then()
    {
        var scheduler = new SimulationScheduler(new SimulationOptions { Order = SimulationOrder.FirstInFirstOut });
        var storage = new SimulatedStorageProvider(scheduler);
        storage.AddFile("/disk", new byte[512]);
        scheduler.Run(async () =>
        {
            await using BlockStorage disk = await storage.OpenAsync("/disk", s_write, s_none);
            byte[] buffer = [1, 2, 3];
            ValueTask write = disk.WriteAsync(0, buffer, s_none);
            Assert.Equal(0, storage.ReadFile("/disk")[0]);
            await write;
            buffer[0] = 9;
            Assert.Equal([1, 2, 3], storage.ReadFile("/disk")[..3]);
        });
    }

    [Fact]
    public void Latency_is_fixed_time_plus_shared_transfer()
    {
        var scheduler = new SimulationScheduler(1);
        var latency = new LatencyModel { Fixed = TimeSpan.FromMilliseconds(10), BytesPerSecond = 1_000_000, Flush = TimeSpan.FromSeconds(1) };
        var storage = new SimulatedStorageProvider(scheduler, new SimulatedStorageOptions { Latency = latency });
        storage.AddFile("/disk", new byte[1_000_000]);
        storage.AddFile("/fast", new byte[1_000_000]);
        storage.SetLatency("/fast", LatencyModel.Immediate);
        scheduler.Run(async () =>
        {
            await using BlockStorage disk = await storage.OpenAsync("/disk", s_write, s_none);
            await using BlockStorage fast = await storage.OpenAsync("/fast", s_write, s_none);
            TimeSpan start = scheduler.Elapsed;
            await fast.ReadAsync(0, new byte[1_000_000], s_none);
            Assert.Equal(start, scheduler.Elapsed);
            Task first = disk.ReadAsync(0, new byte[500_000], s_none).AsTask();
            Task second = disk.ReadAsync(0, new byte[500_000], s_none).AsTask();
            await first;
            Assert.Equal(TimeSpan.FromMilliseconds(510), scheduler.Elapsed - start);
            await second;
            Assert.Equal(TimeSpan.FromMilliseconds(1010), scheduler.Elapsed - start);
            await disk.FlushAsync(s_none);
            Assert.Equal(TimeSpan.FromMilliseconds(2010), scheduler.Elapsed - start);
        });
    }

    [Fact]
    public async Task Without_a_scheduler_requests_complete_before_they_return()
    {
        var storage = new SimulatedStorageProvider();
        ValueTask<BlockStorage> open = storage.OpenAsync("/new", new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateNew }, s_none);
        Assert.True(open.IsCompletedSuccessfully);
        await using BlockStorage disk = await open;
        Assert.True(disk.WriteAsync(3, new byte[] { 1 }, s_none).IsCompletedSuccessfully);
        Assert.Equal([0, 0, 0, 1], storage.ReadFile("/new"));
    }

    [Fact]
    public async Task Image_locks_hold_between_openers_until_they_close()
    {
        var storage = new SimulatedStorageProvider();
        storage.AddFile("/disk", [1]);
        var writing = new StorageOpenOptions { Writable = true, Lock = ImageLock.Writer };
        BlockStorage writer = await storage.OpenAsync("/disk", writing, s_none);
        var error = await Assert.ThrowsAsync<BlockLayerException>(() => storage.OpenAsync("/disk", writing, s_none).AsTask());
        Assert.Equal(BlockErrorKind.Conflict, error.Kind);
        await writer.DisposeAsync();
        await using BlockStorage again = await storage.OpenAsync("/disk", writing, s_none);
        Assert.Equal(writer.Identity, again.Identity);
    }

    [Fact]
    public async Task Links_are_followed_and_a_circle_is_refused()
    {
        var storage = new SimulatedStorageProvider();
        storage.AddFile("/images/base.raw", [7]);
        storage.AddLink("/images/current", "base.raw");
        storage.AddLink("/short", "/images");
        Assert.Equal("/images/base.raw", storage.GetRealPath("/short/./x/../current"));
        await using BlockStorage disk = await storage.OpenAsync("short/current", new StorageOpenOptions(), s_none);
        Assert.Equal(storage.GetInfo("/images/base.raw")!.Identity, disk.Identity);
        Assert.Equal(StorageFileKind.Directory, storage.GetInfo("/images")!.Kind);
        storage.AddLink("/a", "/b");
        storage.AddLink("/b", "/a");
        Assert.Equal("The path leads through more than 40 links.", Assert.Throws<BlockLayerException>(() => storage.GetRealPath("/a")).Message);
    }

    [Fact]
    public async Task A_refused_request_says_which_file_and_where()
    {
        var storage = new SimulatedStorageProvider();
        storage.AddFile("/disk", [1, 2, 3]);
        await using BlockStorage disk = await storage.OpenAsync("/disk", new StorageOpenOptions(), s_none);
        var readOnly = await Assert.ThrowsAsync<BlockLayerException>(() => disk.WriteAsync(1, new byte[1], s_none).AsTask());
        Assert.Equal((BlockErrorKind.ReadOnly, "/disk", 1L), (readOnly.Kind, readOnly.Path, readOnly.Offset!.Value));
        var end = await Assert.ThrowsAsync<BlockLayerException>(() => disk.ReadAsync(2, new byte[2], s_none).AsTask());
        Assert.Equal((BlockErrorKind.Io, "Read of 2 bytes at 2 met the end of the file, which is 3 bytes long."), (end.Kind, end.Message));
        var missing = await Assert.ThrowsAsync<BlockLayerException>(() => storage.OpenAsync("/none", s_write, s_none).AsTask());
        Assert.Equal((BlockErrorKind.NotFound, "/none"), (missing.Kind, missing.Path));
    }
}
