using BlockLayer.Errors;
using BlockLayer.Formats.CowOverlay;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Formats.CowOverlay;
using Xunit;

namespace BlockLayer.Tests.Formats.CowOverlay;

/// <summary>Another backing file, a pull into an overlay, and the end: a raw disk that needs nothing else.</summary>
public sealed class CowOverlayBackingTests
{
    private const int Length = 300_032;
    private const int BaseLength = 200_704;

    private readonly CowOverlayWorld _world = new();
    private readonly byte[] _content = new byte[Length];

    [Fact]
    public async Task A_pull_leaves_a_raw_disk_that_needs_neither_overlay_nor_base()
    {
        await CreateAsync();
        await PullAsync(new StreamOptions());
        Assert.Equal(_content, await _world.ReadFileAsync(CowOverlayWorld.Image));

        await _world.Environment.Files.DeleteAsync(CowOverlayWorld.Base, CancellationToken.None);
        Assert.Equal(_content, await _world.ReadDiskAsync());
        await using CowOverlayNode node = await _world.OpenAsync();
        Assert.Equal((true, null, 0u), (node.IsAllAllocated, node.BackingReference, node.Header.BackingNameOffset));
        await node.ResizeAsync(Length + 5000);
        await node.WriteAsync(Length, Pattern.Of(0, 5000, writer: 4));
    }

    [Fact]
    public async Task A_pull_down_to_a_base_records_that_base_and_later_knows_it()
    {
        await CreateAsync();
        var middle = new NewImage { Format = "qcow2", Backing = CowOverlayWorld.OverBase };
        await new ImageCreator(BuiltInFormats.All, _world.Environment).CreateAsync("/vm/middle", middle, OpenPolicy.Default);
        await using (CowOverlayNode node = await _world.OpenAsync())
        {
            await node.RecordBackingAsync(new BackingReference("middle", "qcow2"), CancellationToken.None);
            Assert.Null(node.Record!.Base);
        }

        await PullAsync(new StreamOptions { BaseName = CowOverlayWorld.Base });
        Assert.Equal(_content, await _world.ReadDiskAsync());
        await using (CowOverlayNode node = await _world.OpenAsync())
        {
            Assert.Equal(("base.img", "raw"), (node.BackingReference!.Name, node.BackingReference.Format));
            await node.WriteAsync(Length - 10, _content.AsMemory(Length - 10));
        }

        byte[] other = await _world.ReadFileAsync(CowOverlayWorld.Base);
        other[0] ^= 1;
        await _world.WriteBaseAsync(other);
        Assert.Equal(BlockErrorKind.InvalidFormat, (await Assert.ThrowsAnyAsync<BlockLayerException>(async () => await _world.OpenAsync())).Kind);
    }

    [Fact]
    public async Task An_overlay_that_its_guest_filled_can_be_finished()
    {
        await CreateAsync();
        await using CowOverlayNode node = await _world.OpenAsync();
        Assert.True(ImageFinisher.CanFinish(node));
        BlockLayerException early = await Assert.ThrowsAnyAsync<BlockLayerException>(async () => await ImageFinisher.FinishAsync(node));
        Assert.Equal(
            (BlockErrorKind.Unsupported, "72 of 74 clusters of '/vm/top.cow' are still in its backing file 'base.img' (raw); pull them first."),
            (early.Kind, early.Message));

        Pattern.Fill(_content, 0, writer: 5);
        await node.WriteAsync(0, _content);
        await ImageFinisher.FinishAsync(node);
        Assert.Equal((true, null), (node.IsAllAllocated, node.Backing));
        Assert.Equal(_content, await _world.ReadFileAsync(CowOverlayWorld.Image));
        await ImageFinisher.FinishAsync(node); // again, nothing happens
    }

    // The image file may hold anything where the bit is clear, as after a write whose bits were lost.
    [Fact]
    public async Task Finishing_without_a_backing_file_makes_zeroes_of_what_was_never_written()
    {
        await CreateAsync();
        await using (CowOverlayNode node = await _world.OpenAsync())
        {
            await node.RecordBackingAsync(reference: null, CancellationToken.None);
            Assert.False(node.IsAllAllocated);
        }

        await _world.PatchAsync(CowOverlayWorld.Image, 150_000, 1, 2, 3);
        byte[] before = await _world.ReadDiskAsync();
        await using (CowOverlayNode node = await _world.OpenAsync())
        {
            await ImageFinisher.FinishAsync(node);
        }

        Assert.Equal(0, before[150_000]);
        Assert.Equal(before, await _world.ReadFileAsync(CowOverlayWorld.Image));
    }

    [Fact]
    public async Task A_committed_overlay_is_empty_for_every_program_and_takes_no_room()
    {
        await CreateAsync();
        await using (CowOverlayNode node = await _world.OpenAsync())
        {
            ImageCommitResult result = await ImageCommitter.CommitAsync(node);
            Assert.True(result is { EmptiesImage: true, CopiedBytes: > 0 });
            Assert.True((await node.GetStatusAsync(0, Length, StatusDepth.Node)) is { IsAllocated: false, Length: Length });
            Assert.Equal(0, (await ImageCommitter.CommitAsync(node)).CopiedBytes);
        }

        Assert.Equal(_content, await _world.ReadFileAsync(CowOverlayWorld.Base));
        byte[] image = await _world.ReadFileAsync(CowOverlayWorld.Image);
        Assert.Equal((Length, -1), (image.Length, image.AsSpan().IndexOfAnyExcept((byte)0)));
        var peer = new AddCowByTheBook(await _world.ReadFileAsync(CowOverlayWorld.Top), image, _content);
        Assert.Equal(_content, peer.ReadAll());

        // It goes on as an overlay of what the base holds now.
        await using CowOverlayNode again = await _world.OpenAsync();
        Assert.True(again.Record is { IsClean: true, Base.Length: Length });
        Assert.True((await again.CheckAsync(progress: null, CancellationToken.None)).IsClean);
        await again.WriteAsync(5000, Pattern.Of(5000, 700, writer: 6));
        Pattern.Fill(_content.AsSpan(5000, 700), 5000, writer: 6);
        byte[] shown = new byte[Length];
        await again.ReadAsync(0, shown);
        Assert.Equal(_content, shown);
    }

    [Fact]
    public async Task An_overlay_that_is_the_disk_cannot_be_emptied()
    {
        await CreateAsync();
        await PullAsync(new StreamOptions());
        await using CowOverlayNode node = await _world.OpenAsync();
        BlockLayerException refusal = await Assert.ThrowsAsync<BlockLayerException>(async () => await node.MakeEmptyAsync(static () => { }, CancellationToken.None));
        Assert.Equal(
            (BlockErrorKind.Unsupported, "All of '/vm/top.cow' is in its image file 'top.img', which is the disk: it cannot be emptied."), (refusal.Kind, refusal.Message));
        Assert.Equal(_content, await _world.ReadFileAsync(CowOverlayWorld.Image));
    }

    [Fact]
    public async Task A_format_that_keeps_its_data_in_itself_cannot_be_finished()
    {
        await new ImageCreator(BuiltInFormats.All, _world.Environment).CreateAsync("/vm/q", new NewImage { Format = "qed", Length = 65536 }, OpenPolicy.Default);
        await using BlockNode node = await new ImageOpener(BuiltInFormats.All, _world.Environment).OpenAsync("/vm/q", new ImageOpenOptions { Access = NodeAccess.ReadWrite });
        Assert.False(ImageFinisher.CanFinish(node));
        BlockLayerException error = await Assert.ThrowsAnyAsync<BlockLayerException>(async () => await ImageFinisher.FinishAsync(node));
        Assert.Equal((BlockErrorKind.Unsupported, "Format qed keeps its data in the image itself."), (error.Kind, error.Message));
    }

    [Fact]
    public async Task Names_take_turns_in_the_room_of_the_header_and_leave_no_trace()
    {
        await CreateAsync();
        await using CowOverlayNode node = await _world.OpenAsync();
        foreach (int length in new[] { 1000, 8, 1023, 1, 500, 1023, 1023 })
        {
            var reference = new BackingReference(new string((char)('a' + (length % 20)), length), "qcow2");
            node.ThrowIfCannotRecordBacking(reference);
            await node.RecordBackingAsync(reference, CancellationToken.None);
            Assert.Equal(reference, node.BackingReference);
            await node.FlushAsync();
            byte[] area = (await _world.ReadFileAsync(CowOverlayWorld.Top))[76..(4096 - 512)];
            Assert.Equal(length + "top.img".Length, area.Count(static value => value != 0));
        }
    }

    [Theory]
    [InlineData("", "The name of the backing file is 0 bytes long; add-cow images are written with 1 to 1023, without NUL.")]
    [InlineData("a\0b", "The name of the backing file is 3 bytes long; add-cow images are written with 1 to 1023, without NUL.")]
    [InlineData("top.img", "'top.img' is the image file of '/vm/top.cow' and cannot be its backing file.")]
    public async Task A_name_that_the_header_cannot_hold_is_refused(string name, string message)
    {
        await CreateAsync();
        await using CowOverlayNode node = await _world.OpenAsync();
        BlockLayerException error = Assert.Throws<BlockLayerException>(() => node.ThrowIfCannotRecordBacking(new BackingReference(name, "raw")));
        Assert.Equal((BlockErrorKind.Unsupported, message), (error.Kind, error.Message));
    }

    [Fact]
    public async Task A_header_whose_room_is_taken_says_so()
    {
        await CreateAsync();
        await _world.PatchAsync(CowOverlayWorld.Top, 4, [.. BitConverter.GetBytes(700), .. BitConverter.GetBytes(2000)]);
        await _world.PatchAsync(CowOverlayWorld.Top, 700, [.. Enumerable.Repeat((byte)'n', 2000)]);
        await using CowOverlayNode node = await _world.OpenAsync(backing: BackingMode.Ignore);
        BlockLayerException error = Assert.Throws<BlockLayerException>(() => node.ThrowIfCannotRecordBacking(new BackingReference(new string('x', 1000), "raw")));
        Assert.Equal(
            (BlockErrorKind.NoSpace, "The header area has no room for a backing file name of 1000 bytes beside the present names."),
            (error.Kind, error.Message));
    }

    // Another program may have put a name where our record is.
    [Fact]
    public async Task Without_room_for_the_record_the_overlay_works_without_it()
    {
        await CreateAsync();
        await _world.PatchAsync(CowOverlayWorld.Top, 4, [.. BitConverter.GetBytes(4096 - 8), .. BitConverter.GetBytes(8)]);
        await _world.PatchAsync(CowOverlayWorld.Top, 4096 - 8, [.. "base.img"u8]);
        await using (CowOverlayNode node = await _world.OpenAsync())
        {
            Assert.Null(node.Record);
            Pattern.Fill(_content.AsSpan(50_000, 100), 50_000, writer: 6);
            await node.WriteAsync(50_000, _content.AsMemory(50_000, 100));
            await node.ResizeAsync(Length - 512, new ResizeOptions { AllowShrink = true });
        }

        Assert.Equal(_content[..^512], await _world.ReadDiskAsync());
    }

    // The chain reads on while a base that is longer comes to lie below.
    [Fact]
    public async Task A_grown_disk_does_not_show_what_a_longer_base_has_there()
    {
        await _world.WriteBaseAsync(Pattern.Of(0, 500_000, writer: 1));
        await _world.CreateAsync(10_000, backing: CowOverlayWorld.OverBase);
        byte[] expected = new byte[600_000];
        Pattern.Fill(expected.AsSpan(0, 10_000), 0, writer: 1);
        await using (CowOverlayNode node = await _world.OpenAsync())
        {
            await node.ResizeAsync(expected.Length);
        }

        Assert.Equal(expected, await _world.ReadDiskAsync());
    }

    [Fact]
    public async Task Growing_without_the_backing_file_is_refused_because_nobody_knows_its_length()
    {
        await CreateAsync();
        await using CowOverlayNode node = await _world.OpenAsync(backing: BackingMode.Ignore);
        BlockLayerException error = await Assert.ThrowsAnyAsync<BlockLayerException>(async () => await node.ResizeAsync(Length + 512));
        Assert.Equal(BlockErrorKind.Unsupported, error.Kind);
        Assert.Equal(Length, node.Length);
    }

    private async Task PullAsync(StreamOptions options)
    {
        await using Disk disk = await Disk.OpenAsync(CowOverlayWorld.Top, new DiskOptions { Environment = _world.Environment });
        StreamJob job = await disk.StartPullAsync(options);
        JobResult result = await job.Completion;
        Assert.True(result.Outcome == JobOutcome.Completed, result.Error?.ToString());
        byte[] shown = new byte[Length];
        await disk.ReadAsync(0, shown);
        Assert.Equal(_content, shown);
    }

    private async Task CreateAsync()
    {
        Pattern.Fill(_content.AsSpan(0, BaseLength), 0, writer: 1);
        await _world.WriteBaseAsync(_content[..BaseLength]);
        await _world.CreateAsync(Length, backing: CowOverlayWorld.OverBase);
        await using CowOverlayNode node = await _world.OpenAsync();
        Pattern.Fill(_content.AsSpan(4000, 200), 4000, writer: 2);
        await node.WriteAsync(4000, _content.AsMemory(4000, 200));
    }
}
