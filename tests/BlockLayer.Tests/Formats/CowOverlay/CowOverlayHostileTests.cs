using System.Text;
using BlockLayer.Errors;
using BlockLayer.Formats.CowOverlay;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Formats.CowOverlay;
using Xunit;

namespace BlockLayer.Tests.Formats.CowOverlay;

/// <summary>Damaged and malicious overlays: a typed error that names the field, or an open that loses nothing. Opening never changes a byte.</summary>
public sealed class CowOverlayHostileTests
{
    private const int Length = 200_192;
    private const int HeaderSize = 4096;

    private readonly CowOverlayWorld _world = new();

    public static TheoryData<string, int, string, BlockErrorKind, string> Fields => new()
    {
        { "a feature", 24, "01", BlockErrorKind.Unsupported, "features is 0x1 at byte 24; no such feature is known." },
        { "the last feature bit", 31, "80", BlockErrorKind.Unsupported, "features is 0x8000000000000000 at byte 24; no such feature is known." },
        { "small clusters", 20, "0B000000", BlockErrorKind.InvalidFormat, "cluster_bits is 11 at byte 20; allowed is 12 to 21." },
        { "large clusters", 20, "16000000", BlockErrorKind.InvalidFormat, "cluster_bits is 22 at byte 20; allowed is 12 to 21." },
        { "negative clusters", 20, "FFFFFFFF", BlockErrorKind.InvalidFormat, "cluster_bits is 4294967295 at byte 20; allowed is 12 to 21." },
        { "no header", 40, "00000000", BlockErrorKind.InvalidFormat, "header_size is 0 at byte 40; expected is 4096 with clusters of 4096 bytes." },
        { "an endless header", 40, "FFFFFFFF", BlockErrorKind.InvalidFormat, "header_size is 4294967295 at byte 40; expected is 4096 with clusters of 4096 bytes." },
        { "a header of two clusters", 40, "00200000", BlockErrorKind.InvalidFormat, "header_size is 8192 at byte 40; expected is 4096 with clusters of 4096 bytes." },
        { "a header that the file has no room for", 20, "1500000000000000000000000000000000000000" + "00002000", BlockErrorKind.Corrupt, "The header area is 2097152 bytes long, and the file 8192." },
        { "no image file", 12, "0000000000000000", BlockErrorKind.InvalidFormat, "image_filename_offset is 0 at byte 12; allowed is 76 to 4094." },
        { "an image name in the fields", 12, "4B000000", BlockErrorKind.InvalidFormat, "image_filename_offset is 75 at byte 12; allowed is 76 to 4094." },
        { "an image name at the end", 12, "FF0F000001000000", BlockErrorKind.InvalidFormat, "image_filename_offset is 4095 at byte 12; allowed is 76 to 4094." },
        { "an empty image name", 16, "00000000", BlockErrorKind.InvalidFormat, "image_filename_size is 0 at byte 16; allowed is 1 to 4019." },
        { "an image name past the end", 16, "FFFFFFFF", BlockErrorKind.InvalidFormat, "image_filename_size is 4294967295 at byte 16; allowed is 1 to 4019." },
        { "a backing name without a place", 4, "00000000", BlockErrorKind.InvalidFormat, "backing_filename_offset is 0 at byte 4; allowed is 76 to 4094." },
        { "a backing name without a size", 8, "00000000", BlockErrorKind.InvalidFormat, "backing_filename_size is 0 at byte 8; allowed is 1 to 4013." },
        { "a backing name past the end", 8, "AE0F0000", BlockErrorKind.InvalidFormat, "backing_filename_size is 4014 at byte 8; allowed is 1 to 4013." },
        { "an image file that may have a backing file of its own", 60, "71636F773200", BlockErrorKind.Unsupported, "image_format is 'qcow2' at byte 60; only raw image files are opened: one that has a backing file of its own would hide it." },
        { "an image name that is no text", 76, "FF", BlockErrorKind.InvalidFormat, "image_filename at byte 76 is not UTF-8." },
        { "an image name with a NUL", 77, "00", BlockErrorKind.InvalidFormat, "image_filename at byte 76 holds a NUL, which no file name has." },
        { "equal names", 4, "4C00000007000000", BlockErrorKind.InvalidFormat, "image_filename and backing_filename are both 'top.img': the image file would hide the backing file and overwrite it." },
    };

    [Theory]
    [MemberData(nameof(Fields))]
    public async Task A_field_that_the_format_does_not_allow_is_refused_by_name(string what, int at, string bytes, BlockErrorKind kind, string message)
    {
        await CreateAsync();
        await _world.PatchAsync(CowOverlayWorld.Top, at, Convert.FromHexString(bytes));
        ImageFormatException error = await Assert.ThrowsAsync<ImageFormatException>(async () => await _world.OpenAsync());
        Assert.True((kind, message, CowOverlayWorld.Top) == (error.Kind, error.Message, error.Path), $"{what}: {error.Kind}, {error.Path}: {error.Message}");
    }

    [Theory]
    [InlineData(3, BlockErrorKind.InvalidFormat)]
    [InlineData(75, BlockErrorKind.Corrupt)]
    [InlineData(HeaderSize - 1, BlockErrorKind.Corrupt)]
    public async Task A_file_that_ends_inside_the_header_is_refused(int length, BlockErrorKind kind)
    {
        await CreateAsync();
        await _world.SetLengthAsync(CowOverlayWorld.Top, length);
        var options = new ImageOpenOptions { Format = "add-cow" };
        var opener = new ImageOpener(BuiltInFormats.All, _world.Environment);
        Assert.Equal(kind, (await Assert.ThrowsAsync<ImageFormatException>(async () => await opener.OpenAsync(CowOverlayWorld.Top, options))).Kind);
    }

    [Fact]
    public async Task A_bitmap_that_was_cut_is_refused_because_nobody_knows_what_it_said()
    {
        await CreateAsync();
        await _world.SetLengthAsync(CowOverlayWorld.Top, HeaderSize + 6); // 49 clusters take 7 bytes
        await AssertRefusedAsync(
            BlockErrorKind.Corrupt,
            "The file ends at byte 4102, inside the bitmap, which ends at 4103 for the 200192 bytes of the image file: one of the two files was cut or is not the one it was.");
        await _world.SetLengthAsync(CowOverlayWorld.Top, HeaderSize + 7);
        await (await _world.OpenAsync()).DisposeAsync();
    }

    [Fact]
    public async Task Bits_past_the_end_are_ignored_and_told()
    {
        byte[] content = await CreateAsync();
        await _world.PatchAsync(CowOverlayWorld.Top, HeaderSize + 6, 0xfe);
        Assert.Equal(content, await _world.ReadDiskAsync());
        await using CowOverlayNode node = await _world.OpenAsync(NodeAccess.ReadOnly);
        ImageCheckReport report = await node.CheckAsync(progress: null, CancellationToken.None);
        Assert.Equal((0L, 7L, 0L), (report.Corruptions, report.Leaks, report.CheckErrors));
        Assert.Equal("bitmap has 7 bits set past the end of the disk; they are ignored.", report.Findings.Single().Message);
    }

    [Fact]
    public async Task A_missing_image_file_is_named()
    {
        await CreateAsync();
        await _world.Environment.Files.DeleteAsync(CowOverlayWorld.Image, CancellationToken.None);
        await AssertRefusedAsync(BlockErrorKind.NotFound, "The data file 'top.img' of '/vm/top.cow' does not exist at '/vm/top.img'.");
    }

    [Fact]
    public async Task An_image_file_that_was_cut_can_be_read_and_not_written()
    {
        byte[] content = await CreateAsync();
        await _world.SetLengthAsync(CowOverlayWorld.Image, 100_000);
        await AssertRefusedAsync(
            BlockErrorKind.Corrupt,
            "The image file 'top.img' of '/vm/top.cow' is 100000 bytes long, and was 200192: it was cut, or is another file. "
            + "Put the original back; as it is, the overlay can only be read.");
        Assert.Equal(content[..100_000], await _world.ReadDiskAsync());
        await using CowOverlayNode node = await _world.OpenAsync(NodeAccess.ReadOnly);
        ImageCheckReport report = await node.CheckAsync(progress: null, CancellationToken.None);
        Assert.Equal(1, report.Corruptions);
    }

    [Fact]
    public async Task An_image_file_that_grew_makes_the_disk_longer_as_far_as_the_bitmap_goes()
    {
        byte[] content = await CreateAsync();
        await _world.SetLengthAsync(CowOverlayWorld.Image, 300_000);
        Array.Resize(ref content, 300_000);
        Assert.Equal(content, await _world.ReadDiskAsync());
        await _world.SetLengthAsync(CowOverlayWorld.Image, (4096 * 8 * 4096) + 1);
        await AssertRefusedAsync(
            BlockErrorKind.Corrupt,
            "The file ends at byte 8192, inside the bitmap, which ends at 8193 for the 134217729 bytes of the image file: one of the two files was cut or is not the one it was.");
    }

    [Fact]
    public async Task An_image_file_that_claims_to_be_huge_costs_no_memory()
    {
        await CreateAsync();
        await _world.SetLengthAsync(CowOverlayWorld.Image, 1L << 60);
        await _world.SetLengthAsync(CowOverlayWorld.Top, 1L << 50);
        long before = GC.GetAllocatedBytesForCurrentThread();
        await AssertRefusedAsync(
            BlockErrorKind.Unsupported,
            "A disk of 1152921504606846976 bytes with clusters of 4096 takes a bitmap of 35184372088832 bytes; at most 268435456 are kept. Larger clusters make it shorter.");
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20);
    }

    // The bitmap's room is there, all of it a hole: what is read and kept goes by what is stored.
    [Fact]
    public async Task A_bitmap_that_is_one_large_hole_costs_no_memory()
    {
        await CreateAsync();
        await _world.SetLengthAsync(CowOverlayWorld.Image, 1L << 42);
        await _world.SetLengthAsync(CowOverlayWorld.Top, HeaderSize + (1L << 27));
        long before = GC.GetAllocatedBytesForCurrentThread();
        await using CowOverlayNode node = await _world.OpenAsync(NodeAccess.ReadOnly);
        Assert.Equal(1L << 42, node.Length);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 2 << 20);
    }

    [Theory]
    [InlineData("./top.img", "'/vm/./top.img' holds the data of an image above and cannot be the backing file of another as well.")]
    [InlineData("top.cow", "'/vm/top.cow' is its own backing file.")]
    public async Task A_backing_file_that_is_one_of_the_overlays_own_is_refused_whatever_it_is_called(string name, string message)
    {
        await CreateAsync();
        await NameAsync(at: 4, name);
        await AssertRefusedAsync(BlockErrorKind.InvalidFormat, message);
    }

    [Fact]
    public async Task An_image_file_that_is_the_overlay_itself_is_refused()
    {
        await CreateAsync();
        await NameAsync(at: 12, "./top.cow");
        await AssertRefusedAsync(BlockErrorKind.InvalidFormat, "'/vm/./top.cow' is its own data file.");
    }

    [Theory]
    [InlineData("/etc/shadow", "It lies in '/etc', outside '/vm'; allow that directory to open it.")]
    [InlineData("../secret", "It lies in '/', outside '/vm'; allow that directory to open it.")]
    [InlineData("nbd://host/disk", "Only plain file names are opened, no 'nbd:' references.")]
    public async Task An_image_file_elsewhere_is_not_opened(string name, string why)
    {
        await CreateAsync();
        await NameAsync(at: 12, name);
        OpenDeniedException denied = await Assert.ThrowsAsync<OpenDeniedException>(async () => await _world.OpenAsync());
        Assert.Equal($"'/vm/top.cow' names '{name}' as its data file, which was not opened. {why}", denied.Message);
    }

    [Fact]
    public async Task Nothing_else_is_opened_for_a_stranger()
    {
        await CreateAsync();
        OpenDeniedException denied = await Assert.ThrowsAsync<OpenDeniedException>(
            async () => await _world.OpenAsync(NodeAccess.ReadOnly, BackingMode.Ignore, OpenPolicy.Untrusted));
        Assert.Equal("'/vm/top.cow' names 'top.img' as its data file, which was not opened. The policy Untrusted opens no data files.", denied.Message);
    }

    [Fact]
    public async Task All_allocated_shows_the_image_file_whatever_the_bitmap_and_the_backing_file_are()
    {
        await CreateAsync();
        await _world.PatchAsync(CowOverlayWorld.Top, 32, 1);
        await _world.SetLengthAsync(CowOverlayWorld.Top, HeaderSize);
        await _world.Environment.Files.DeleteAsync(CowOverlayWorld.Base, CancellationToken.None);
        Assert.Equal(await _world.ReadFileAsync(CowOverlayWorld.Image), await _world.ReadDiskAsync());
        await using CowOverlayNode node = await _world.OpenAsync();
        await node.WriteAsync(50_000, Pattern.Of(0, 100, writer: 9));
        Assert.Null(node.BackingReference);
    }

    [Theory]
    [InlineData(false, "its content is another")]
    [InlineData(true, "it is 123457 bytes long, and that was 123456")]
    public async Task A_base_that_was_replaced_is_refused(bool isLonger, string what)
    {
        await CreateAsync();
        byte[] other = await _world.ReadFileAsync(CowOverlayWorld.Base);
        other[65_536 + 3] ^= 1;
        await _world.WriteBaseAsync(isLonger ? [.. other, 0] : other);
        string message = $"'/vm/base.img' is not the backing file that '/vm/top.cow' was written over: {what}. Put the original back; "
            + "clusters that were never written to the overlay exist nowhere else.";
        await AssertRefusedAsync(BlockErrorKind.InvalidFormat, message);
        await AssertRefusedAsync(BlockErrorKind.InvalidFormat, message, NodeAccess.ReadOnly);
        await using CowOverlayNode alone = await _world.OpenAsync(NodeAccess.ReadOnly, BackingMode.Ignore);
        Assert.Equal(Length, alone.Length);
    }

    // Another name in the header was put there by somebody who knew what he did, or by us, who would have forgotten the identity.
    [Fact]
    public async Task A_base_under_another_name_is_taken_on_trust()
    {
        await CreateAsync();
        await _world.WriteFileAsync("/vm/other.img", new byte[1000]);
        await NameAsync(at: 4, "other.img");
        await using CowOverlayNode node = await _world.OpenAsync();
        Assert.Equal("other.img", node.BackingReference!.Name);
    }

    [Fact]
    public async Task A_damaged_record_is_no_record()
    {
        byte[] content = await CreateAsync();
        await _world.PatchAsync(CowOverlayWorld.Top, HeaderSize - 512 + 33, 1, 2, 3);
        await using (CowOverlayNode node = await _world.OpenAsync())
        {
            Assert.Null(node.Record);
            await node.WriteAsync(0, content.AsMemory(0, 1));
        }

        await using CowOverlayNode again = await _world.OpenAsync(NodeAccess.ReadOnly);
        Assert.True(again.Record is { IsClean: true, Base: not null });
    }

    // A base of 123,456 bytes, and a written cluster in an overlay that is longer.
    private async Task<byte[]> CreateAsync()
    {
        byte[] content = new byte[Length];
        Pattern.Fill(content.AsSpan(0, 123_456), 0, writer: 1);
        await _world.WriteBaseAsync(content[..123_456]);
        await _world.CreateAsync(Length, backing: CowOverlayWorld.OverBase);
        await using CowOverlayNode node = await _world.OpenAsync();
        Pattern.Fill(content.AsSpan(10_000, 100), 10_000, writer: 2);
        await node.WriteAsync(10_000, content.AsMemory(10_000, 100));
        return content;
    }

    // Puts a name where there is room, and the fields at a position to it.
    private async Task NameAsync(int at, string name)
    {
        const int Room = 1000;
        await _world.PatchAsync(CowOverlayWorld.Top, Room, Encoding.UTF8.GetBytes(name));
        await _world.PatchAsync(CowOverlayWorld.Top, at, [.. BitConverter.GetBytes(Room), .. BitConverter.GetBytes(name.Length)]);
    }

    private async Task AssertRefusedAsync(BlockErrorKind kind, string message, NodeAccess access = NodeAccess.ReadWrite)
    {
        byte[] before = await _world.ReadFileAsync(CowOverlayWorld.Top, HeaderSize);
        BlockLayerException error = await Assert.ThrowsAnyAsync<BlockLayerException>(async () => await _world.OpenAsync(access));
        Assert.Equal((kind, message), (error.Kind, error.Message));
        Assert.NotNull(error.Path);
        Assert.Equal(before, await _world.ReadFileAsync(CowOverlayWorld.Top, HeaderSize));
    }
}
