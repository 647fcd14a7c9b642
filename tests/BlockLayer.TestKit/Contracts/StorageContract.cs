using BlockLayer.Errors;
using BlockLayer.Storage;
using FsCheck;
using FsCheck.Fluent;
using Xunit;

namespace BlockLayer.TestKit.Contracts;

/// <summary>What every <see cref="BlockStorage"/> promises, one promise a test. Names, links and locks are in <see cref="StorageProviderContract"/>.</summary>
public abstract class StorageContract : StorageFixture
{
    private static readonly CancellationToken s_none = CancellationToken.None;

    [Theory]
    [InlineData(0, 1)]
    [InlineData(511, 2)]
    [InlineData(4095, 4098)]
    [InlineData(1, 65536)]
    [InlineData(12345, (3 << 20) + 7)]
    public Task Written_bytes_are_read_back(long offset, int length) => RunAsync(async () =>
    {
        await using BlockStorage file = await CreateAsync();
        byte[] bytes = Bytes(length);

        await file.WriteAsync(offset, bytes, s_none);

        Assert.Equal(bytes, await ReadAsync(file, offset, length));
        Assert.Equal(offset + length, file.Length);
    });

    [Fact]
    public Task Gap_before_a_write_past_the_end_reads_as_zeroes() => RunAsync(async () =>
    {
        await using BlockStorage file = await CreateAsync();
        await file.WriteAsync(0, Bytes(10), s_none);

        await file.WriteAsync(100_000, Bytes(10), s_none);

        Assert.Equal(new byte[100_000 - 10], await ReadAsync(file, 10, 100_000 - 10));
    });

    [Theory]
    [InlineData(0, 1001)]
    [InlineData(999, 2)]
    [InlineData(1000, 1)]
    [InlineData(1 << 30, 4096)]
    public Task Read_that_meets_the_end_fails(long offset, int length) => RunAsync(async () =>
    {
        await using BlockStorage file = await CreateAsync();
        await file.WriteAsync(0, Bytes(1000), s_none);

        var error = await Assert.ThrowsAsync<BlockLayerException>(async () => await file.ReadAsync(offset, new byte[length], s_none));

        Assert.Equal(BlockErrorKind.Io, error.Kind);
        Assert.Equal(PathOf("file"), error.Path);
        Assert.InRange(error.Offset!.Value, offset, Math.Max(offset, 1000));
        Assert.Contains("met the end of the file, which is 1000 bytes long.", error.Message, StringComparison.Ordinal);
    });

    [Fact]
    public Task Several_buffers_are_one_range() => RunAsync(async () =>
    {
        await using BlockStorage file = await CreateAsync();
        byte[] bytes = Bytes(50_000);
        int[] lengths = [0, 1, 4096, 0, 511, 20_000, .. Enumerable.Repeat(7, 40), 0];
        List<ReadOnlyMemory<byte>> sources = [];
        List<Memory<byte>> targets = [];
        int total = 0;
        foreach (int length in lengths)
        {
            sources.Add(bytes.AsMemory(total, length));
            targets.Add(new byte[length]);
            total += length;
        }

        await file.WriteAsync(3, sources, s_none);
        await file.ReadAsync(3, targets, s_none);

        Assert.Equal(bytes[..total], targets.SelectMany(target => target.ToArray()));
        Assert.Equal(bytes[..total], await ReadAsync(file, 3, total));
        Assert.Equal(3 + total, file.Length);
    });

    [Fact]
    public Task Several_buffers_that_meet_the_end_fail() => RunAsync(async () =>
    {
        await using BlockStorage file = await CreateAsync();
        await file.WriteAsync(0, Bytes(1000), s_none);

        var error = await Assert.ThrowsAsync<BlockLayerException>(
            async () => await file.ReadAsync(0, new Memory<byte>[] { new byte[600], new byte[600] }, s_none));

        Assert.Equal(BlockErrorKind.Io, error.Kind);
    });

    [Fact]
    public Task Nothing_can_be_read_and_written_anywhere() => RunAsync(async () =>
    {
        await using BlockStorage file = await CreateAsync();

        await file.ReadAsync(5000, Memory<byte>.Empty, s_none);
        await file.WriteAsync(5000, ReadOnlyMemory<byte>.Empty, s_none);
        await file.WriteZeroesAsync(5000, 0, ZeroMode.MayUnmap, s_none);
        await file.DiscardAsync(5000, 0, s_none);

        Assert.Equal(0, file.Length);
    });

    [Theory]
    [InlineData(ZeroMode.MayUnmap, 4096, 8192)]
    [InlineData(ZeroMode.MayUnmap, 1, 30_000)]
    [InlineData(ZeroMode.KeepAllocated, 4096, 8192)]
    [InlineData(ZeroMode.KeepAllocated, 1, 30_000)]
    public Task Zeroes_replace_their_range_and_nothing_else(ZeroMode mode, int offset, int length) => RunAsync(async () =>
    {
        await using BlockStorage file = await CreateAsync();
        byte[] bytes = Bytes(64 * 1024);
        await file.WriteAsync(0, bytes, s_none);

        await file.WriteZeroesAsync(offset, length, mode, s_none);

        bytes.AsSpan(offset, length).Clear();
        Assert.Equal(bytes, await ReadAsync(file, 0, bytes.Length));
        Assert.Equal(bytes.Length, file.Length);
    });

    [Theory]
    [InlineData(ZeroMode.MayUnmap)]
    [InlineData(ZeroMode.KeepAllocated)]
    public Task Zeroes_past_the_end_grow_the_file(ZeroMode mode) => RunAsync(async () =>
    {
        await using BlockStorage file = await CreateAsync();
        await file.WriteAsync(0, Bytes(1000), s_none);

        await file.WriteZeroesAsync(900, 20_000, mode, s_none);
        await file.WriteZeroesAsync(50_000, 3, mode, s_none);

        Assert.Equal(50_003, file.Length);
        Assert.Equal(Bytes(1000)[..900], await ReadAsync(file, 0, 900));
        Assert.Equal(new byte[50_003 - 900], await ReadAsync(file, 900, 50_003 - 900));
    });

    [Fact]
    public Task Discarded_range_reads_as_before_or_as_zeroes() => RunAsync(async () =>
    {
        await using BlockStorage file = await CreateAsync();
        byte[] bytes = Bytes(64 * 1024);
        await file.WriteAsync(0, bytes, s_none);

        await file.DiscardAsync(1000, 50_000, s_none);

        byte[] after = await ReadAsync(file, 0, bytes.Length);
        Assert.Equal(bytes[..1000], after[..1000]);
        Assert.Equal(bytes[51_000..], after[51_000..]);
        Assert.All(Enumerable.Range(1000, 50_000), i => Assert.True(after[i] == 0 || after[i] == bytes[i]));
    });

    [Fact]
    public Task Discard_leaves_the_length_and_ignores_what_lies_past_it() => RunAsync(async () =>
    {
        await using BlockStorage file = await CreateAsync();
        await file.WriteAsync(0, Bytes(10_000), s_none);

        await file.DiscardAsync(9_000, 1 << 20, s_none);
        await file.DiscardAsync(1 << 20, 4096, s_none);

        Assert.Equal(10_000, file.Length);
        Assert.Equal(Bytes(10_000)[..9_000], await ReadAsync(file, 0, 9_000));
    });

    [Fact]
    public Task What_was_cut_off_does_not_come_back() => RunAsync(async () =>
    {
        await using BlockStorage file = await CreateAsync();
        await file.WriteAsync(0, Bytes(10_000), s_none);

        await file.SetLengthAsync(5_000, s_none);
        await file.SetLengthAsync(10_000, s_none);

        Assert.Equal(10_000, file.Length);
        Assert.Equal(Bytes(10_000)[..5_000], await ReadAsync(file, 0, 5_000));
        Assert.Equal(new byte[5_000], await ReadAsync(file, 5_000, 5_000));
    });

    [Fact]
    public Task Extents_cover_the_file_and_holes_read_as_zeroes() => RunAsync(async () =>
    {
        await using BlockStorage file = await CreateAsync();
        await file.WriteAsync(200_000, Bytes(70_000), s_none);
        await file.WriteAsync(900_000, Bytes(1), s_none);
        await file.SetLengthAsync(2_000_000, s_none);
        byte[] bytes = await ReadAsync(file, 0, 2_000_000);

        long at = 0;
        while (at < file.Length)
        {
            StorageExtent extent = await file.GetExtentAsync(at, file.Length - at, s_none);

            Assert.InRange(extent.Length, 1, file.Length - at);
            Assert.True(!extent.IsHole || !bytes.AsSpan((int)at, (int)extent.Length).ContainsAnyExcept((byte)0), $"hole at {at} holds data");
            at += extent.Length;
        }
    });

    [Fact]
    public Task Extent_is_never_longer_than_asked() => RunAsync(async () =>
    {
        await using BlockStorage file = await CreateAsync();
        await file.WriteAsync(0, Bytes(100_000), s_none);
        await file.SetLengthAsync(1_000_000, s_none);

        Assert.Equal(77, (await file.GetExtentAsync(5, 77, s_none)).Length);
        Assert.Equal(77, (await file.GetExtentAsync(500_000, 77, s_none)).Length);
    });

    [Fact]
    public Task File_opened_for_reading_refuses_every_change() => RunAsync(async () =>
    {
        await using (BlockStorage writable = await CreateAsync())
        {
            await writable.WriteAsync(0, Bytes(1000), s_none);
        }

        await using BlockStorage file = await OpenAsync();
        Func<ValueTask>[] changes =
        [
            () => file.WriteAsync(0, new byte[1], s_none),
            () => file.WriteAsync(0, new ReadOnlyMemory<byte>[] { new byte[1] }, s_none),
            () => file.WriteZeroesAsync(0, 1, ZeroMode.MayUnmap, s_none),
            () => file.DiscardAsync(0, 1, s_none),
            () => file.SetLengthAsync(5, s_none),
        ];

        Assert.True(file.IsReadOnly);
        foreach (Func<ValueTask> change in changes)
        {
            var error = await Assert.ThrowsAsync<BlockLayerException>(async () => await change());
            Assert.Equal(BlockErrorKind.ReadOnly, error.Kind);
            Assert.Equal(PathOf("file"), error.Path);
        }

        await file.FlushAsync(s_none);
        Assert.Equal(Bytes(1000), await ReadAsync(file, 0, 1000));
    });

    [Fact]
    public Task Cancelled_request_does_nothing() => RunAsync(async () =>
    {
        await using BlockStorage file = await CreateAsync();
        await file.WriteAsync(0, Bytes(1000), s_none);
        var cancelled = new CancellationToken(canceled: true);
        byte[] buffer = new byte[10];
        Func<Task>[] requests =
        [
            async () => await file.ReadAsync(0, buffer, cancelled),
            async () => await file.ReadAsync(0, new Memory<byte>[] { buffer }, cancelled),
            async () => await file.WriteAsync(0, buffer, cancelled),
            async () => await file.WriteAsync(0, new ReadOnlyMemory<byte>[] { buffer }, cancelled),
            async () => await file.WriteZeroesAsync(0, 10, ZeroMode.MayUnmap, cancelled),
            async () => await file.DiscardAsync(0, 10, cancelled),
            async () => await file.SetLengthAsync(0, cancelled),
            async () => await file.FlushAsync(cancelled),
            async () => await file.GetExtentAsync(0, 10, cancelled),
        ];

        foreach (Func<Task> request in requests)
        {
            await Assert.ThrowsAnyAsync<OperationCanceledException>(request);
        }

        Assert.Equal(new byte[10], buffer);
        Assert.Equal(Bytes(1000), await ReadAsync(file, 0, 1000));
    });

    [Fact]
    public Task Negative_numbers_are_misuse() => RunAsync(async () =>
    {
        await using BlockStorage file = await CreateAsync();

        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(async () => await file.ReadAsync(-1, new byte[1], s_none));
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(async () => await file.WriteAsync(-1, new byte[1], s_none));
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(async () => await file.WriteZeroesAsync(0, -1, ZeroMode.MayUnmap, s_none));
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(async () => await file.DiscardAsync(0, -1, s_none));
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(async () => await file.SetLengthAsync(-1, s_none));
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(async () => await file.GetExtentAsync(0, 0, s_none));
    });

    [Fact]
    public Task Closed_file_is_misuse() => RunAsync(async () =>
    {
        BlockStorage file = await CreateAsync();
        await file.WriteAsync(0, new byte[10], s_none);
        await file.DisposeAsync();
        await file.DisposeAsync();

        await Assert.ThrowsAsync<ObjectDisposedException>(async () => await file.ReadAsync(0, new byte[10], s_none));
        await Assert.ThrowsAsync<ObjectDisposedException>(async () => await file.WriteAsync(0, new byte[10], s_none));
        await Assert.ThrowsAsync<ObjectDisposedException>(async () => await file.FlushAsync(s_none));
    });

    [Fact]
    public Task Two_opens_of_one_file_are_the_same_file() => RunAsync(async () =>
    {
        await using BlockStorage first = await CreateAsync();
        await using BlockStorage second = await OpenAsync(writable: true);
        await using BlockStorage other = await CreateAsync("other");

        await first.WriteAsync(0, Bytes(5000), s_none);

        Assert.Equal(Bytes(5000), await ReadAsync(second, 0, 5000));
        Assert.Equal(5000, second.Length);
        Assert.Equal(first.Identity, second.Identity);
        Assert.NotEqual(first.Identity, other.Identity);
    });

    [Fact]
    public Task Requests_in_flight_together_keep_to_their_ranges() => RunAsync(async () =>
    {
        const int Piece = 100_000;
        await using BlockStorage file = await CreateAsync();

        await Task.WhenAll(Enumerable.Range(0, 50).Select(async i => await file.WriteAsync(i * Piece, Bytes(Piece, seed: i), s_none)));
        byte[][] pieces = await Task.WhenAll(Enumerable.Range(0, 50).Select(i => ReadAsync(file, i * Piece, Piece)));

        Assert.All(Enumerable.Range(0, 50), i => Assert.True(pieces[i].AsSpan().SequenceEqual(Bytes(Piece, seed: i)), $"piece {i}"));
    });

    [Fact]
    public Task Flushed_bytes_are_there_after_reopening() => RunAsync(async () =>
    {
        await using (BlockStorage file = await CreateAsync())
        {
            await file.WriteAsync(77, Bytes(9_000), s_none);
            await file.FlushAsync(s_none);
        }

        await using BlockStorage reopened = await OpenAsync();
        Assert.Equal(9_077, reopened.Length);
        Assert.Equal(Bytes(9_000), await ReadAsync(reopened, 77, 9_000));
    });

    [Fact]
    public Task Copies_as_much_as_it_says_and_nothing_else() => RunAsync(async () =>
    {
        await using BlockStorage source = await CreateAsync("source");
        await using BlockStorage target = await CreateAsync("target");
        byte[] bytes = Bytes(300_000);
        await source.WriteAsync(0, bytes, s_none);
        await target.WriteAsync(0, Bytes(20), s_none);

        long copied = await source.TryCopyToAsync(1_000, target, 20, 250_000, s_none);

        Assert.InRange(copied, 0, 250_000);
        Assert.Equal(20 + copied, target.Length);
        Assert.Equal(Bytes(20), await ReadAsync(target, 0, 20));
        Assert.Equal(bytes.AsSpan(1_000, (int)copied).ToArray(), await ReadAsync(target, 20, (int)copied));
    });

    // Each sequence gets a file of its own; a failure prints the shortest one found.
    [Fact]
    public void Any_sequence_of_requests_leaves_what_a_plain_array_would_hold()
    {
        int files = 0;
        Prop.ForAll(StorageStep.Sequences, steps =>
        {
            string name = $"twin{files++}";
            RunAsync(async () =>
            {
                await (await CreateAsync(name)).DisposeAsync();
                await new StorageTwin(() => OpenAsync(name, writable: true)).RunAsync(steps);
            }).GetAwaiter().GetResult();
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(Effort.Times(100)).WithEndSize(40).WithQuietOnSuccess(true));
    }
}
