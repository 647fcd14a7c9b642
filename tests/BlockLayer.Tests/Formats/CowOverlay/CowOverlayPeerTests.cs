using BlockLayer.Formats.CowOverlay;
using BlockLayer.Graph;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Formats.CowOverlay;
using Xunit;

namespace BlockLayer.Tests.Formats.CowOverlay;

/// <summary>Both ways with a program that knows the specification and nothing else (<see cref="AddCowByTheBook"/>).</summary>
public sealed class CowOverlayPeerTests
{
    private const int Length = 200_192;
    private const int BaseLength = 123_456;

    private readonly CowOverlayWorld _world = new();

    [Theory]
    [InlineData(12)]
    [InlineData(16)]
    [InlineData(21)]
    public async Task What_we_write_reads_the_same_by_the_book(int clusterBits)
    {
        byte[] model = new byte[Length];
        Pattern.Fill(model.AsSpan(0, BaseLength), 0, writer: 1);
        await _world.WriteBaseAsync(model[..BaseLength]);
        await _world.CreateAsync(Length, 1 << clusterBits, CowOverlayWorld.OverBase);
        await using (CowOverlayNode node = await _world.OpenAsync())
        {
            foreach ((int offset, int length) in new[] { (10, 3), (4000, 9000), (Length - 700, 700), (BaseLength - 5, 10) })
            {
                Pattern.Fill(model.AsSpan(offset, length), offset, writer: 2);
                await node.WriteAsync(offset, model.AsMemory(offset, length));
            }

            await node.WriteZeroesAsync(50_000, 5000);
            model.AsSpan(50_000, 5000).Clear();
        }

        var peer = new AddCowByTheBook(
            await _world.ReadFileAsync(CowOverlayWorld.Top), await _world.ReadFileAsync(CowOverlayWorld.Image), await _world.ReadFileAsync(CowOverlayWorld.Base));
        Assert.Equal(("top.img", "base.img", "raw", false), (peer.Names.Image, peer.Names.Backing, peer.BackingFormat, peer.IsAllAllocated));
        Assert.Equal(model, peer.ReadAll());
    }

    [Theory]
    [InlineData(12)]
    [InlineData(16)]
    [InlineData(21)]
    public async Task What_is_written_by_the_book_reads_the_same_here(int clusterBits)
    {
        byte[] backing = Pattern.Of(0, BaseLength, writer: 1);
        byte[] addCow = AddCowByTheBook.Create("top.img", "base.img", "raw", clusterBits, Length);
        byte[] image = new byte[Length];
        var peer = new AddCowByTheBook(addCow, image, backing);
        peer.Write(10, Pattern.Of(10, 3, writer: 2));
        peer.Write(60_000, Pattern.Of(60_000, 70_000, writer: 3));
        peer.Write(Length - 1, [77]);
        await _world.WriteBaseAsync(backing);
        await _world.WriteFileAsync(CowOverlayWorld.Top, addCow);
        await _world.WriteFileAsync(CowOverlayWorld.Image, image);

        Assert.Equal(peer.ReadAll(), await _world.ReadDiskAsync());
    }

    // It changes the bitmap and keeps our record as it is, which is false then.
    [Fact]
    public async Task A_bitmap_written_by_another_program_is_taken_and_the_record_made_anew_at_the_next_clean_close()
    {
        await _world.WriteBaseAsync(Pattern.Of(0, BaseLength, writer: 1));
        await _world.CreateAsync(Length, 4096, CowOverlayWorld.OverBase);
        await using (CowOverlayNode node = await _world.OpenAsync())
        {
            await node.WriteAsync(5000, Pattern.Of(5000, 10, writer: 2));
        }

        byte[] addCow = await _world.ReadFileAsync(CowOverlayWorld.Top);
        byte[] image = await _world.ReadFileAsync(CowOverlayWorld.Image);
        var peer = new AddCowByTheBook(addCow, image, await _world.ReadFileAsync(CowOverlayWorld.Base));
        peer.Write(100_000, Pattern.Of(100_000, 50, writer: 3));
        await _world.WriteFileAsync(CowOverlayWorld.Top, addCow);
        await _world.WriteFileAsync(CowOverlayWorld.Image, image);

        await using (CowOverlayNode found = await _world.OpenAsync(NodeAccess.ReadOnly))
        {
            ImageCheckReport report = await found.CheckAsync(progress: null, CancellationToken.None);
            Assert.Equal((0L, 0L, 1L), (report.Corruptions, report.Leaks, report.CheckErrors));
            Assert.Equal(
                "bitmap is not the one that was left when the overlay was closed: another program has written it, or it is damaged.",
                report.Findings[0].Message);
        }

        Assert.Equal(peer.ReadAll(), await _world.ReadDiskAsync());
        await (await _world.OpenAsync()).DisposeAsync();
        await using CowOverlayNode again = await _world.OpenAsync(NodeAccess.ReadOnly);
        Assert.True((await again.CheckAsync(progress: null, CancellationToken.None)).IsClean);
        Assert.Equal(peer.ReadAll(), await _world.ReadDiskAsync());
    }

    [Fact]
    public async Task A_file_of_another_program_gets_a_record_with_the_first_write_and_not_before()
    {
        byte[] addCow = AddCowByTheBook.Create("top.img", "base.img", "raw", 12, Length);
        await _world.WriteBaseAsync(Pattern.Of(0, BaseLength, writer: 1));
        await _world.WriteFileAsync(CowOverlayWorld.Top, addCow);
        await _world.WriteFileAsync(CowOverlayWorld.Image, new byte[Length]);

        await (await _world.OpenAsync()).DisposeAsync();
        Assert.Equal(addCow, await _world.ReadFileAsync(CowOverlayWorld.Top));

        await using (CowOverlayNode node = await _world.OpenAsync())
        {
            Assert.Null(node.Record);
            await node.WriteAsync(0, new byte[] { 1 });
        }

        await using CowOverlayNode again = await _world.OpenAsync(NodeAccess.ReadOnly);
        Assert.True(again.Record is { IsClean: true, Base.Length: BaseLength, ImageLength: Length });
    }
}
