using System.Buffers.Binary;
using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Contracts;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Filters;

/// <summary>A write log in a file changes nothing that its user can tell.</summary>
public class WriteLogFileContract : NodeContract
{
    private protected override async ValueTask<BlockNode> CreateAsync(long length)
    {
        BlockEnvironment environment = TestEnvironment.Inline();
        return await WriteLogNode.CreateAsync(
            new MemoryOverlayNode("image", length, 4096, environment), await ScriptedNode.CreateAsync(environment, 0, grows: true, name: "log"));
    }
}

public class WriteLogFileTests
{
    private const int Length = 64 * 1024;

    private readonly BlockEnvironment _environment = TestEnvironment.Inline();

    [Fact]
    public async Task Any_moment_can_be_replayed_from_the_file()
    {
        var moments = new List<byte[]> { new byte[Length] };
        await using (WriteLogNode logged = await NewLoggedAsync())
        {
            var random = new Random(7);
            for (int i = 0; i < 60; i++)
            {
                int offset = random.Next(Length);
                int length = random.Next(1, Math.Min(20_000, Length - offset) + 1);
                ValueTask request = random.Next(5) switch
                {
                    0 => logged.WriteZeroesAsync(offset, length),
                    1 => logged.FlushAsync(),
                    2 => logged.MarkAsync($"moment {i}"),
                    _ => logged.WriteAsync(offset, Pattern.Of(offset, length, i)),
                };
                await request;
                byte[] now = new byte[Length];
                await logged.ReadAsync(0, now);
                moments.Add(now);
            }

            Assert.Empty(logged.Entries); // the bytes are in the file only
        }

        await using BlockNode file = await OpenFileAsync();
        WriteLogFile log = await WriteLogFile.OpenAsync(file);
        Assert.Equal(Length, log.DiskLength);
        for (int count = 0; count <= 60; count += 6)
        {
            await using var replayed = new MemoryOverlayNode("replayed", Length, 16384, _environment);
            Assert.Equal(count, await log.ReplayAsync(replayed, count));
            byte[] found = new byte[Length];
            await replayed.ReadAsync(0, found);
            Assert.Equal(moments[count], found);
        }

        Assert.Null(log.DamagedAt);
    }

    [Fact]
    public async Task Marks_are_found_and_flushes_say_what_they_cover()
    {
        await using (WriteLogNode logged = await NewLoggedAsync())
        {
            await logged.WriteAsync(0, new byte[10]);
            await logged.MarkAsync("größer");
            await logged.WriteZeroesAsync(512, 512);
            await logged.FlushAsync();
            await logged.WriteAsync(100, new byte[] { 1, 2, 3 }, WriteFlags.Fua);
            await logged.DiscardAsync(0, 4096);
        }

        await using BlockNode file = await OpenFileAsync();
        WriteLogFile log = await WriteLogFile.OpenAsync(file);
        List<WriteLogEntry> entries = await ReadAsync(log);
        Assert.Equal(
            [WriteLogKind.Write, WriteLogKind.Mark, WriteLogKind.Zeroes, WriteLogKind.Flush, WriteLogKind.Write, WriteLogKind.Flush, WriteLogKind.Discard],
            entries.Select(entry => entry.Kind));
        Assert.Equal([2, 3], entries.Where(entry => entry.Kind == WriteLogKind.Flush).Select(entry => entry.Covers));
        Assert.Equal((new ByteRange(100, 3), "010203"), (entries[4].Range, Convert.ToHexString(entries[4].Data.Span)));
        Assert.Equal(2, await log.FindMarkAsync("größer"));
        Assert.Null(await log.FindMarkAsync("smaller"));
    }

    [Fact]
    public async Task A_flush_does_not_cover_what_came_while_it_ran()
    {
        WriteLogNode logged = await NewLoggedAsync();
        var steps = new HeldSteps();
        ((MemoryOverlayNode)logged.SkipFilters()).Steps = steps;
        await logged.WriteAsync(0, new byte[512]);
        steps.Hold(OverlayStep.Flush);
        Task flush = logged.FlushAsync().AsTask();
        await logged.WriteAsync(512, new byte[512]);
        steps.Release(OverlayStep.Flush);
        await flush;
        await logged.DisposeAsync();
        await using BlockNode file = await OpenFileAsync();
        List<WriteLogEntry> entries = await ReadAsync(await WriteLogFile.OpenAsync(file));
        Assert.Equal([WriteLogKind.Write, WriteLogKind.Write, WriteLogKind.Flush], entries.Select(entry => entry.Kind));
        Assert.Equal(1, entries[2].Covers);
    }

    [Fact]
    public async Task The_file_is_laid_out_as_documented()
    {
        await using (WriteLogNode logged = await NewLoggedAsync())
        {
            await logged.WriteAsync(1000, new byte[] { 1, 2, 3 });
            await logged.FlushAsync();
        }

        byte[] bytes = await ReadFileAsync();
        Assert.Equal(512 + 80 + 64, bytes.Length);
        Assert.Equal("BLKWRLOG"u8, bytes.AsSpan(0, 8));
        Assert.Equal((1u, (ulong)Length), (U32(8), U64(16)));
        Assert.Equal(Crc32C.Compute(bytes.AsSpan(0, 508)), U32(508));
        Assert.Equal("BLKE"u8, bytes.AsSpan(512, 4));
        Assert.Equal((1u, 0ul, 1000ul, 3ul, 0ul, 3u), (U32(516), U64(520), U64(528), U64(536), U64(544), U32(552)));
        Assert.Equal(Crc32C.Compute([1, 2, 3]), U32(556));
        Assert.Equal(Crc32C.Compute(bytes.AsSpan(512, 60)), U32(572));
        Assert.Equal([1, 2, 3, 0], bytes[576..580]);
        Assert.Equal("BLKE"u8, bytes.AsSpan(592, 4));
        Assert.Equal((4u, 1ul, 1ul), (U32(596), U64(600), U64(624)));

        uint U32(int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(at));
        ulong U64(int at) => BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(at));
    }

    // The log is cut off at every byte, and one bit after the other is turned over: what is read is a prefix of what was logged.
    [Fact]
    public async Task A_damaged_log_ends_before_the_damage()
    {
        await using (WriteLogNode logged = await NewLoggedAsync())
        {
            await logged.WriteAsync(0, new byte[] { 1, 2, 3 });
            await logged.WriteZeroesAsync(512, 512);
            await logged.WriteAsync(4, new byte[] { 4, 5 });
        }

        byte[] whole = await ReadFileAsync();
        List<string> all = await DescribeAsync(whole);
        Assert.Equal(3, all.Count);
        long[] starts = [512, 592, 656, whole.Length];
        for (int length = 512; length < whole.Length; length++)
        {
            List<string> found = await DescribeAsync(whole[..length]);
            int expected = starts.Count(start => start <= length && start > 512);
            Assert.True(found.Count >= expected && found.SequenceEqual(all.Take(found.Count)), $"cut at {length}: {string.Join(", ", found)}");
        }

        for (int bit = 512 * 8; bit < whole.Length * 8; bit += 3)
        {
            byte[] damaged = [.. whole];
            damaged[bit / 8] ^= (byte)(1 << (bit % 8));
            List<string> found = await DescribeAsync(damaged);
            Assert.True(found.SequenceEqual(all.Take(found.Count)), $"bit {bit}: {string.Join(", ", found)}");
        }
    }

    [Theory]
    [InlineData(0, BlockErrorKind.InvalidFormat, "magic")]
    [InlineData(20, BlockErrorKind.Corrupt, "checksum")]
    [InlineData(508, BlockErrorKind.Corrupt, "checksum")]
    public async Task What_is_no_whole_header_is_refused(int at, BlockErrorKind kind, string field)
    {
        await (await NewLoggedAsync()).DisposeAsync();
        byte[] bytes = await ReadFileAsync();
        bytes[at] ^= 0x40;
        ImageFormatException error = await Assert.ThrowsAsync<ImageFormatException>(() => DescribeAsync(bytes));
        Assert.Equal((kind, field), (error.Kind, error.Field));
    }

    [Fact]
    public async Task A_log_that_cannot_be_written_fails_the_change_and_takes_no_more()
    {
        ScriptedNode file = await ScriptedNode.CreateAsync(_environment, 0, grows: true, name: "log");
        await using WriteLogNode logged = await WriteLogNode.CreateAsync(new MemoryOverlayNode("disk", Length, 4096, _environment), file);
        await logged.WriteAsync(0, new byte[] { 1 });
        file.Script.Fail("write", new BlockLayerException(BlockErrorKind.NoSpace, "full"));
        await AssertNoSpaceAsync(() => logged.WriteAsync(1, new byte[] { 2 }));
        file.Script.Fail("write", null);
        await AssertNoSpaceAsync(() => logged.WriteAsync(2, new byte[] { 3 }));
        await AssertNoSpaceAsync(() => logged.FlushAsync());
        await AssertNoSpaceAsync(() => logged.MarkAsync("too late"));
        byte[] found = new byte[3];
        await logged.ReadAsync(0, found);
        Assert.Equal([1, 2, 0], found);
    }

    [Fact]
    public async Task A_file_that_holds_something_is_not_overwritten()
    {
        await (await NewLoggedAsync()).DisposeAsync();
        await using var disk = new MemoryOverlayNode("disk", Length, 4096, _environment);
        await using BlockNode file = await OpenFileAsync();
        BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(async () => await WriteLogNode.CreateAsync(disk, file));
        Assert.Equal("'log' holds 512 bytes already; a write log begins in an empty file.", error.Message);
    }

    [Fact]
    public async Task A_disk_that_grew_is_replayed_to_its_end()
    {
        ScriptedNode disk = await ScriptedNode.CreateAsync(_environment, Length, name: "disk");
        await using (WriteLogNode logged = await NewLoggedAsync(disk))
        {
            await logged.ResizeAsync(Length * 2);
            await logged.WriteAsync(Length, new byte[] { 9 });
        }

        await using BlockNode file = await OpenFileAsync();
        WriteLogFile log = await WriteLogFile.OpenAsync(file);
        Assert.Equal(Length * 2, log.DiskLength);
        await using var replayed = new MemoryOverlayNode("replayed", Length * 2, 4096, _environment);
        Assert.Equal(1, await log.ReplayAsync(replayed));
        Assert.Null(log.DamagedAt);
    }

    private static async Task AssertNoSpaceAsync(Func<ValueTask> request)
        => Assert.Equal(BlockErrorKind.NoSpace, (await Assert.ThrowsAsync<BlockLayerException>(async () => await request())).Kind);

    private static async Task<List<WriteLogEntry>> ReadAsync(WriteLogFile log)
    {
        var entries = new List<WriteLogEntry>();
        await foreach (WriteLogEntry entry in log.ReadAsync())
        {
            entries.Add(entry);
        }

        return entries;
    }

    private async Task<List<string>> DescribeAsync(byte[] bytes)
    {
        BlockStorage storage = await _environment.Files.OpenAsync(
            "copy", new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateOrTruncate }, CancellationToken.None);
        await storage.WriteAsync(0, bytes, CancellationToken.None);
        await using var file = new StorageNode(storage, _environment);
        List<WriteLogEntry> entries = await ReadAsync(await WriteLogFile.OpenAsync(file));
        return [.. entries.Select(entry => $"{entry.Kind} {entry.Range} {Convert.ToHexString(entry.Data.Span)}")];
    }

    private async Task<WriteLogNode> NewLoggedAsync(BlockNode? disk = null)
    {
        var mode = new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateNew };
        var file = new StorageNode(await _environment.Files.OpenAsync("log", mode, CancellationToken.None), _environment);
        return await WriteLogNode.CreateAsync(disk ?? new MemoryOverlayNode("disk", Length, 4096, _environment), file);
    }

    private async Task<BlockNode> OpenFileAsync()
        => new StorageNode(await _environment.Files.OpenAsync("log", new StorageOpenOptions(), CancellationToken.None), _environment);

    private async Task<byte[]> ReadFileAsync()
    {
        await using BlockNode file = await OpenFileAsync();
        byte[] bytes = new byte[file.Length];
        await file.ReadAsync(0, bytes);
        return bytes;
    }
}
