using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Images;

/// <summary>Live copies of files into files: what is created, what it stands on, and what is left.</summary>
public sealed class DiskMirrorTests
{
    private const int Length = 1 << 20;
    private const int Unit = 64 << 10;

    private readonly MemoryWorld _world = new();

    [Theory]
    [InlineData("raw")]
    [InlineData("qcow2")]
    [InlineData("qed")]
    public async Task A_disk_is_copied_whole_into_a_new_image_and_goes_on_there(string format)
    {
        await using Disk disk = await CreateAsync();
        byte[] expected = await ReadAsync(disk);
        MirrorJob job = await disk.StartMirrorAsync("/copy", create: new NewImage { Format = format });
        JobResult result = await job.CompleteWhenReadyAsync();
        Assert.Equal(["/copy"], result.Files.Needed);
        Assert.Equal(["/top", "/base"], result.Files.Unneeded);
        Assert.Equal(["/copy"], disk.Chain.Select(image => image.Path));
        Assert.Equal(expected, await ReadAsync(disk));
        await disk.WriteAsync(0, new byte[512]);
        await disk.ResizeAsync(2 * Length);
        await using Disk old = await Disk.OpenAsync("/top", _world.As("qcow2")); // nobody holds it any more
        Assert.Equal(expected, await ReadAsync(old));
    }

    [Fact]
    public async Task The_newest_image_is_copied_onto_the_backing_file_of_the_disk()
    {
        await using Disk disk = await CreateAsync();
        byte[] expected = await ReadAsync(disk);
        MirrorJob job = await disk.StartMirrorAsync("/copy", new MirrorJobOptions { Scope = MirrorScope.Top }, new NewImage { Format = "qcow2" });
        JobResult result = await job.CompleteWhenReadyAsync();
        Assert.Equal(4 * Unit, job.CopiedBytes);
        Assert.Equal(["/copy", "/base"], result.Files.Needed);
        Assert.Equal(expected, await ReadAsync(disk));
        await disk.DisposeAsync();
        await using Disk again = await Disk.OpenAsync("/copy", _world.As("qcow2"));
        Assert.Equal(["/copy", "/base"], again.Chain.Select(image => image.Path));
        Assert.Equal(expected, await ReadAsync(again));
    }

    [Theory]
    [InlineData(MirrorCopyMode.Background)]
    [InlineData(MirrorCopyMode.WriteBlocking)]
    public async Task What_guests_write_from_now_on_goes_into_an_overlay_of_the_disk(MirrorCopyMode mode)
    {
        await using Disk disk = await CreateAsync();
        MirrorJob job = await disk.StartMirrorAsync(
            "/copy", new MirrorJobOptions { Scope = MirrorScope.None, CopyMode = mode }, new NewImage { Format = "qcow2" });
        await disk.WriteAsync((3 * Unit) + 512, SectorStamp.Of((3 * Unit) + 512, 512, 7)); // a part of what the overlay stores
        byte[] expected = await ReadAsync(disk);
        JobResult result = await job.CompleteWhenReadyAsync();
        Assert.Equal(["/copy", "/top", "/base"], result.Files.Needed);
        Assert.True(disk.Chain[1].IsReadOnly);
        Assert.Equal(expected, await ReadAsync(disk));
        await disk.WriteAsync(0, SectorStamp.Of(0, 512, 8));
        Assert.Equal((byte[])[.. SectorStamp.Of(0, 512, 8), .. expected[512..]], await ReadAsync(disk));
        await disk.DisposeAsync();
        await using Disk again = await Disk.OpenAsync("/copy", _world.As("qcow2"));
        Assert.Equal(["/copy", "/top", "/base"], again.Chain.Select(image => image.Path));
        Assert.Equal(expected[512..], (await ReadAsync(again))[512..]);
    }

    [Fact]
    public async Task An_image_on_another_backing_file_is_refused_and_stays()
    {
        await using Disk disk = await CreateAsync();
        await (await Disk.CreateAsync("/other", new NewImage { Format = "qcow2", Length = Length }, _world.As("qcow2"))).DisposeAsync();
        await (await Disk.CreateAsync("/copy", Over("other"), _world.As("qcow2"))).DisposeAsync();
        await RefusesAsync(disk, BlockErrorKind.Conflict, MirrorScope.Top);
        await using Disk copy = await Disk.OpenAsync("/copy", _world.As("qcow2"));
        Assert.Equal(["/copy", "/other"], copy.Chain.Select(image => image.Path));
    }

    [Fact]
    public async Task What_was_created_for_a_job_that_cannot_start_is_removed_again()
    {
        await using Disk disk = await CreateAsync();
        var shorter = new NewImage { Format = "qcow2", Length = Length - Unit, Options = new Dictionary<string, string> { ["data_file"] = "copy.data" } };
        BlockLayerException refusal = await Assert.ThrowsAsync<BlockLayerException>(() => disk.StartMirrorAsync("/copy", create: shorter).AsTask());
        Assert.Equal("'/copy' is 983040 bytes long and cannot hold the 1048576 bytes of '/top'; grow it first.", refusal.Message);
        Assert.Null(disk.Root.Environment.Files.GetInfo("/copy.data"));
        await RefusesAsync(disk, BlockErrorKind.NotFound, MirrorScope.Full);
    }

    [Fact]
    public async Task What_is_noted_before_the_disk_goes_over_may_keep_it_where_it_is()
    {
        await using Disk disk = await CreateAsync();
        byte[] expected = await ReadAsync(disk);
        var options = new MirrorJobOptions { BeforeSwitch = static () => throw new InvalidOperationException("There is nowhere to note it.") };
        MirrorJob job = await disk.StartMirrorAsync("/copy", options, new NewImage { Format = "raw" });
        await job.WhenReadyAsync();
        job.Complete();
        JobResult result = await job.Completion;
        Assert.Equal((JobOutcome.Failed, "There is nowhere to note it."), (result.Outcome, result.Error?.Message));
        Assert.Equal(["/top", "/base"], result.Files.Needed);
        Assert.Equal(["/copy"], result.Files.Changed); // a good copy, of that moment
        Assert.Equal(expected, await ReadAsync(disk));
    }

    private static async Task RefusesAsync(Disk disk, BlockErrorKind kind, MirrorScope scope)
        => Assert.Equal(
            kind, (await Assert.ThrowsAsync<BlockLayerException>(() => disk.StartMirrorAsync("/copy", new MirrorJobOptions { Scope = scope }).AsTask())).Kind);

    private static async Task<byte[]> ReadAsync(Disk disk)
    {
        byte[] all = new byte[Length];
        await disk.ReadAsync(0, all);
        return all;
    }

    private static NewImage Over(string backing) => new() { Format = "qcow2", Length = Length, Backing = new BackingReference(backing, "qcow2") };

    private async Task<Disk> CreateAsync()
    {
        await using (Disk lowest = await Disk.CreateAsync("/base", new NewImage { Format = "qcow2", Length = Length }, _world.As("qcow2")))
        {
            await lowest.WriteAsync(0, SectorStamp.Of(0, 8 * Unit, 1));
        }

        Disk disk = await Disk.CreateAsync("/top", Over("base"), _world.As("qcow2"));
        await disk.WriteAsync(6 * Unit, SectorStamp.Of(6 * Unit, 4 * Unit, 2));
        return disk;
    }
}
