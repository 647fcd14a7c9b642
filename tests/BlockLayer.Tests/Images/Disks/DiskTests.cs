using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Images;

public sealed class DiskTests
{
    private readonly MemoryWorld _world = new();

    [Fact]
    public async Task What_was_written_and_flushed_is_there_after_reopening()
    {
        byte[] written = Pattern.Of(4096, 1000, writer: 1);
        await using (Disk disk = await _world.CreateRawAsync("/disk.raw", 1 << 20))
        {
            await disk.WriteAsync(4096, written);
            await disk.FlushAsync();
        }

        await using Disk again = await Disk.OpenAsync("/disk.raw", _world.As("raw"));
        byte[] read = new byte[1000];
        await again.ReadAsync(4096, read);
        Assert.Equal(written, read);
        Assert.Equal(1 << 20, again.Length);
    }

    [Fact]
    public async Task With_copy_on_read_what_is_read_once_does_not_need_the_backing_file_again()
    {
        byte[] content = Pattern.Of(0, 1 << 20, writer: 1);
        await using (Disk basis = await _world.CreateRawAsync("/base.raw", 1 << 20))
        {
            await basis.WriteAsync(0, content);
        }

        var image = new NewImage { Format = "qcow2", Backing = new BackingReference("base.raw", "raw") };
        byte[] read = new byte[300_000];
        await using (Disk disk = await Disk.CreateAsync("/top.qcow2", image, _world.As("qcow2") with { CopyOnRead = new CopyOnReadOptions() }))
        {
            await disk.ReadAsync(200_000, read);
            Assert.Equal(content.AsSpan(200_000, 300_000).ToArray(), read);
            await disk.FlushAsync(); // waits for the stores behind answered reads
            BlockStatus status = await disk.GetStatusAsync(200_000, 300_000);
            Assert.Equal((0, 300_000L), (status.Depth, status.Length));
            Assert.Equal(1, (await disk.GetStatusAsync(600_000, 1)).Depth);
        }

        await using Disk plain = await Disk.OpenAsync("/top.qcow2", _world.As("qcow2"));
        await plain.ReadAsync(200_000, read);
        Assert.Equal(content.AsSpan(200_000, 300_000).ToArray(), read);
        Assert.Equal(0, (await plain.GetStatusAsync(200_000, 1)).Depth);
    }

    [Fact]
    public async Task Raw_is_not_guessed()
    {
        await (await _world.CreateRawAsync("/disk.raw", 1 << 20)).DisposeAsync();
        BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(
            async () => await Disk.OpenAsync("/disk.raw", new DiskOptions { Environment = _world.Environment }));
        Assert.Equal(BlockErrorKind.InvalidFormat, error.Kind);
        Assert.Equal("/disk.raw", error.Path);
    }

    [Fact]
    public async Task A_read_only_disk_refuses_writes_and_resizes()
    {
        await (await _world.CreateRawAsync("/disk.raw", 1 << 20)).DisposeAsync();
        await using Disk disk = await Disk.OpenAsync("/disk.raw", _world.As("raw", NodeAccess.ReadOnly));
        Assert.True(disk.IsReadOnly);
        BlockLayerException write = await Assert.ThrowsAsync<BlockLayerException>(async () => await disk.WriteAsync(0, new byte[1]));
        BlockLayerException resize = await Assert.ThrowsAsync<BlockLayerException>(async () => await disk.ResizeAsync(2 << 20));
        Assert.Equal(BlockErrorKind.ReadOnly, write.Kind);
        Assert.Equal(BlockErrorKind.ReadOnly, resize.Kind);
    }

    [Fact]
    public async Task Growing_shows_zeroes_and_shrinking_is_refused_unless_allowed()
    {
        await using Disk disk = await _world.CreateRawAsync("/disk.raw", 1000);
        await disk.WriteAsync(0, Pattern.Of(0, 1000, writer: 1));
        await disk.ResizeAsync(3000);
        byte[] grown = new byte[2000];
        await disk.ReadAsync(1000, grown);
        Assert.Equal(new byte[2000], grown);
        BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(async () => await disk.ResizeAsync(500));
        Assert.Equal(BlockErrorKind.OutOfRange, error.Kind);
        await disk.ResizeAsync(500, new ResizeOptions { AllowShrink = true });
        Assert.Equal(500, disk.Length);
    }

    [Fact]
    public async Task A_failed_create_leaves_no_file()
    {
        var image = new NewImage { Format = "raw", Length = 1000, Backing = new BackingReference("base.raw", "raw"), Verification = BackingVerification.None };
        await Assert.ThrowsAsync<ArgumentException>(async () => await Disk.CreateAsync("/disk.raw", image, _world.As("raw")));
        Assert.False(_world.Exists("/disk.raw"));
    }

    [Fact]
    public async Task An_image_in_use_is_not_replaced()
    {
        await using Disk disk = await _world.CreateRawAsync("/disk.raw", 1000);
        BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(async () => await _world.CreateRawAsync("/disk.raw", 2000));
        Assert.Equal(BlockErrorKind.Conflict, error.Kind);
        Assert.Equal(1000, disk.Length);
        Assert.True(_world.Exists("/disk.raw"));
    }

    [Fact]
    public async Task A_backing_name_that_an_open_would_take_for_a_protocol_is_not_recorded()
    {
        await (await _world.CreateRawAsync("/base:1.raw", 1 << 20)).DisposeAsync();
        var image = new NewImage { Format = "qcow2", Backing = new BackingReference("base:1.raw", "raw") };
        OpenDeniedException denied = await Assert.ThrowsAsync<OpenDeniedException>(async () => await Disk.CreateAsync("/disk.qcow2", image, _world.As("qcow2")));
        Assert.Equal("Only plain file names are opened, no 'base:' references; write './base:1.raw' for a file of that name.", denied.Message);
        Assert.False(_world.Exists("/disk.qcow2"));

        await using Disk disk = await Disk.CreateAsync("/disk.qcow2", image with { Backing = new BackingReference("./base:1.raw", "raw") }, _world.As("qcow2"));
        Assert.Equal(2, disk.Chain.Count);
    }

    [Fact]
    public async Task Without_a_length_or_a_backing_file_nothing_is_created()
    {
        await Assert.ThrowsAsync<ArgumentException>(async () => await Disk.CreateAsync("/disk.raw", new NewImage { Format = "raw" }, _world.As("raw")));
        Assert.False(_world.Exists("/disk.raw"));
    }
}
