using System.Buffers.Binary;
using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Filters;

public class MirrorLogTests
{
    private const int Region = MirrorFixture.Region;

    [Fact]
    public async Task The_log_is_laid_out_as_documented()
    {
        var sides = new MirrorFixture();
        MirrorNode mirror = await sides.OpenAsync();
        await mirror.WriteAsync(Region, new byte[1]);
        await mirror.WriteAsync(Region * 9, new byte[Region + 1]);
        byte[] log = await sides.ReadLogAsync();

        Assert.Equal(1024, log.Length);
        Assert.Equal("BLKMIRLG"u8, log.AsSpan(0, 8));
        Assert.Equal(1u, BinaryPrimitives.ReadUInt32LittleEndian(log.AsSpan(8)));
        Assert.Equal(12u, BinaryPrimitives.ReadUInt32LittleEndian(log.AsSpan(12)));
        Assert.Equal((ulong)MirrorFixture.Length, BinaryPrimitives.ReadUInt64LittleEndian(log.AsSpan(16)));
        Assert.True(ZeroBytes.IsAllZero(log.AsSpan(24, 16))); // sides without files have no names
        Assert.True(ZeroBytes.IsAllZero(log.AsSpan(40, 468)));
        Assert.Equal(Crc32C.Compute(log.AsSpan(0, 508)), BinaryPrimitives.ReadUInt32LittleEndian(log.AsSpan(508)));

        Assert.Equal(1u, BinaryPrimitives.ReadUInt32LittleEndian(log.AsSpan(512)));
        Assert.Equal([0b10, 0b110], log[516..518]); // regions 1, 9 and 10
        Assert.True(ZeroBytes.IsAllZero(log.AsSpan(518, 502)));
        Assert.Equal(Crc32C.Compute(log.AsSpan(512, 508)), BinaryPrimitives.ReadUInt32LittleEndian(log.AsSpan(1020)));

        await mirror.DisposeAsync();
        Assert.True(ZeroBytes.IsAllZero((await sides.ReadLogAsync()).AsSpan(516, 504)));
    }

    [Fact]
    public void The_checksum_is_castagnolis()
    {
        // RFC 3720, B.4: 32 bytes of zeroes, of ones, and the numbers 0 to 31.
        Assert.Equal(0x8a9136aau, Crc32C.Compute(new byte[32]));
        Assert.Equal(0x62a8ab43u, Crc32C.Compute(Enumerable.Repeat((byte)0xff, 32).ToArray()));
        byte[] counting = [.. Enumerable.Range(0, 32).Select(i => (byte)i)];
        Assert.Equal(0x46dd794eu, Crc32C.Compute(counting));
        Assert.Equal(0x46dd794eu, Crc32C.Compute(counting.AsSpan(13), Crc32C.Compute(counting.AsSpan(0, 13))));
    }

    [Fact]
    public async Task A_region_is_in_the_log_durably_before_either_side_is_written()
    {
        var sides = new MirrorFixture();
        await using ScriptedNode log = await ScriptedNode.CreateAsync(sides.Environment, 0, grows: true, name: "scripted log");
        sides.Source.AddReference();
        sides.Destination.AddReference();
        log.AddReference();
        await using MirrorNode mirror = await MirrorNode.OpenAsync(sides.Source, sides.Destination, log, new MirrorOptions { RegionSize = Region });
        TaskCompletionSource flush = log.Script.Hold("flush");
        int before = sides.SourceSteps.Log.Count + sides.DestinationSteps.Log.Count;
        Task[] writes = [.. Enumerable.Range(0, 10).Select(i => mirror.WriteAsync(Region * i, new byte[512]).AsTask())];
        Assert.Equal(before, sides.SourceSteps.Log.Count + sides.DestinationSteps.Log.Count);
        int flushes = log.Script.Count("flush");
        log.Script.Clear();
        flush.SetResult();
        await Task.WhenAll(writes);
        Assert.InRange(log.Script.Count("flush"), 1, 1); // nine shared the second
        Assert.True(flushes > 0);

        log.Script.Clear();
        await mirror.WriteAsync(Region, new byte[Region * 8]);
        Assert.Empty(log.Script.Calls); // noted already
    }

    [Theory]
    [InlineData("write")]
    [InlineData("flush")]
    public async Task A_write_that_cannot_be_noted_fails_and_reaches_no_side(string failing)
    {
        var sides = new MirrorFixture();
        await using ScriptedNode log = await ScriptedNode.CreateAsync(sides.Environment, 0, grows: true, name: "scripted log");
        sides.Source.AddReference();
        sides.Destination.AddReference();
        log.AddReference();
        await using MirrorNode mirror = await MirrorNode.OpenAsync(sides.Source, sides.Destination, log, new MirrorOptions { RegionSize = Region });
        log.Script.Fail(failing, new BlockLayerException(BlockErrorKind.NoSpace, "full"));
        BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(async () => await mirror.WriteAsync(0, new byte[] { 1 }));
        Assert.Equal(BlockErrorKind.NoSpace, error.Kind);
        log.Script.Fail(failing, null);
        Assert.Equal(new byte[MirrorFixture.Length], await MirrorFixture.ReadAllAsync(sides.Source));
        Assert.True(await sides.SidesAreEqualAsync());
        Assert.Equal(0, mirror.Status.DifferingBytes);
        await mirror.WriteAsync(0, new byte[] { 1 });
        Assert.True(await sides.SidesAreEqualAsync());
    }

    // Each case damages the log of a mirror that was closed with equal sides, after somebody changed the destination in region 3.
    [Theory]
    [InlineData("nothing", false)]
    [InlineData("a byte of the bits", true)]
    [InlineData("the number of the sector", true)]
    [InlineData("the sector is cut off", true)]
    [InlineData("all of the header", true)]
    [InlineData("another length", true)]
    [InlineData("another pair", true)]
    public async Task What_the_log_cannot_vouch_for_is_copied(string damage, bool copied)
    {
        var sides = new MirrorFixture();
        await (await sides.OpenAsync()).DisposeAsync();
        await sides.Destination.WriteAsync(Region * 3, new byte[] { 7 });
        byte[] log = await sides.ReadLogAsync();
        switch (damage)
        {
            case "a byte of the bits":
                await sides.WriteLogAsync(600, [1]);
                break;
            case "the number of the sector":
                await sides.WriteLogAsync(512, [9]);
                break;
            case "the sector is cut off":
                await sides.WriteLogAsync(512, new byte[512]);
                break;
            case "all of the header":
                await sides.WriteLogAsync(0, new byte[512]);
                break;
            case "another length":
                await sides.WriteLogAsync(0, HeaderOf(new MirrorLogHeader(new RegionGeometry(MirrorFixture.Length - 512, 12), 0)));
                break;
            case "another pair":
                await sides.WriteLogAsync(0, HeaderOf(new MirrorLogHeader(new RegionGeometry(MirrorFixture.Length, 12), 1)));
                break;
        }

        await (await sides.OpenAsync()).DisposeAsync();
        Assert.Equal(copied, await sides.SidesAreEqualAsync());
        Assert.Equal(log, await sides.ReadLogAsync()); // and the log is a good one again
    }

    [Theory]
    [InlineData(0, (byte)'X', BlockErrorKind.InvalidFormat, "magic")]
    [InlineData(16, (byte)9, BlockErrorKind.Corrupt, "checksum")]
    public async Task A_file_that_is_no_whole_log_is_refused_and_left_alone(int at, byte value, BlockErrorKind kind, string field)
    {
        var sides = new MirrorFixture();
        await (await sides.OpenAsync()).DisposeAsync();
        await sides.WriteLogAsync(at, [value]);
        byte[] before = await sides.ReadLogAsync();
        ImageFormatException error = await Assert.ThrowsAsync<ImageFormatException>(() => sides.OpenAsync());
        Assert.Equal((kind, field, "log"), (error.Kind, error.Field, error.Path));
        Assert.Equal(before, await sides.ReadLogAsync());
    }

    [Fact]
    public void Fields_that_would_ask_for_too_much_are_refused()
    {
        byte[] sector = HeaderOf(new MirrorLogHeader(new RegionGeometry(1 << 20, 12), 5));
        Assert.Equal(new MirrorLogHeader(new RegionGeometry(1 << 20, 12), 5), MirrorLogHeader.Parse(sector));
        AssertRefused("version", BlockErrorKind.Unsupported, 8, 2);
        AssertRefused("region_bits", BlockErrorKind.InvalidFormat, 12, 11);
        AssertRefused("region_bits", BlockErrorKind.InvalidFormat, 12, 48);
        AssertRefused("length", BlockErrorKind.InvalidFormat, 20, 0x7fffffff); // far more than 65,536 regions
        AssertRefused("length", BlockErrorKind.InvalidFormat, 20, 0x80000000);

        void AssertRefused(string field, BlockErrorKind kind, int at, uint value)
        {
            byte[] changed = [.. sector];
            BinaryPrimitives.WriteUInt32LittleEndian(changed.AsSpan(at), value);
            BinaryPrimitives.WriteUInt32LittleEndian(changed.AsSpan(508), Crc32C.Compute(changed.AsSpan(0, 508)));
            ImageFormatException error = Assert.Throws<ImageFormatException>(() => MirrorLogHeader.Parse(changed));
            Assert.Equal((kind, field), (error.Kind, error.Field));
        }
    }

    [Theory]
    [InlineData(0L, 20)]
    [InlineData(1L << 36, 20)]
    [InlineData((1L << 36) + 1, 21)]
    [InlineData(long.MaxValue, 47)]
    public void A_log_has_at_most_9216_bytes(long length, int bits)
    {
        RegionGeometry geometry = RegionGeometry.Choose(length, null);
        Assert.Equal(bits, geometry.RegionBits);
        Assert.InRange(geometry.Count, 0, 65_536);
        Assert.InRange(512 + (512 * MirrorLogSector.CountFor(geometry.Count)), 512, 9216);
    }

    [Theory]
    [InlineData(1000)]
    [InlineData(2048)]
    [InlineData(0)]
    [InlineData(-4096)]
    public void A_region_size_that_does_not_do_is_refused(long size)
        => Assert.Throws<ArgumentException>(() => RegionGeometry.Choose(1 << 30, size));

    [Fact]
    public async Task A_read_only_mirror_reads_what_may_differ_from_the_source_and_changes_nothing()
    {
        var sides = new MirrorFixture();
        MirrorNode mirror = await sides.OpenAsync();
        await mirror.WriteAsync(0, Pattern.Of(0, Region * 2, 1));
        byte[] log = await sides.ReadLogAsync(); // as a crash leaves it
        await mirror.DisposeAsync();
        await sides.WriteLogAsync(0, log);
        await sides.Destination.WriteAsync(0, Pattern.Of(0, Region * 4, 2));

        BlockEnvironment environment = sides.Environment;
        var source = new MemoryOverlayNode("source", MirrorFixture.Length, 512, environment, sides.Source, NodeAccess.ReadOnly);
        var destination = new MemoryOverlayNode("destination", MirrorFixture.Length, 512, environment, sides.Destination, NodeAccess.ReadOnly);
        await using MirrorNode reading = await sides.OpenAsync(new MirrorOptions { Reads = MirrorReads.Destination }, source: source, destination: destination);
        Assert.True(reading.IsReadOnly);
        Assert.Equal(Region * 2, reading.Status.DifferingBytes);
        byte[] found = new byte[Region * 4];
        await reading.ReadAsync(0, found.AsMemory(0, Region * 2));
        await reading.ReadAsync(Region * 2, found.AsMemory(Region * 2));
        Assert.Equal(Pattern.Of(0, Region * 2, 1), found[..(Region * 2)]);
        Assert.Equal(Pattern.Of(Region * 2, Region * 2, 2), found[(Region * 2)..]);
        Assert.Equal(log, await sides.ReadLogAsync());
    }

    private static byte[] HeaderOf(MirrorLogHeader header)
    {
        byte[] sector = new byte[MirrorLogHeader.Size];
        header.WriteTo(sector);
        return sector;
    }
}
