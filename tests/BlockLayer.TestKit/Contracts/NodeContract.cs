using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Storage;
using Xunit;

namespace BlockLayer.TestKit.Contracts;

/// <summary>
/// What every node promises, whatever it is. A format, filter or protocol proves it by deriving a class that makes one.
/// </summary>
public abstract class NodeContract
{
    private protected const int Length = (1 << 20) + 512;

    /// <summary>A new, empty, writable disk of <paramref name="length"/> bytes that reads as zeroes.</summary>
    private protected abstract ValueTask<BlockNode> CreateAsync(long length);

    /// <summary>The disk that was made last, opened again after its node was disposed; null where nothing outlives the node.</summary>
    private protected virtual ValueTask<BlockNode>? ReopenAsync(NodeAccess access) => null;

    [Fact]
    public async Task A_new_disk_reads_as_zeroes()
    {
        await using BlockNode node = await CreateAsync(Length);
        Assert.Equal(Length, node.Length);
        Assert.True(ZeroBytes.IsAllZero(await ReadAllAsync(node)));
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(511, 2)]
    [InlineData(4096, 4096)]
    [InlineData(65535, 65538)]
    [InlineData(1000, 300_001)]
    [InlineData(Length - 1, 1)]
    [InlineData(0, Length)]
    public async Task A_completed_write_is_what_a_read_returns_and_nothing_else_changes(int offset, int length)
    {
        await using BlockNode node = await CreateAsync(Length);
        byte[] model = new byte[Length];
        Pattern.Fill(model.AsSpan(offset, length), offset, writer: 1);

        await node.WriteAsync(offset, model.AsMemory(offset, length));

        await AssertReadsAsync(node, model);
        byte[] exact = new byte[length];
        await node.ReadAsync(offset, exact);
        Assert.True(exact.AsSpan().SequenceEqual(model.AsSpan(offset, length)));
    }

    [Fact]
    public async Task Random_writes_zeroes_and_discards_match_a_byte_array()
    {
        await using BlockNode node = await CreateAsync(Length);
        var random = new Random(20);
        byte[] model = new byte[Length];
        for (int i = 1; i <= 300; i++)
        {
            int offset = random.Next(Length);
            int length = random.Next(1, Math.Min(100_000, Length - offset) + 1);
            switch (random.Next(4))
            {
                case 0:
                    await node.WriteZeroesAsync(offset, length, random.Next(2) == 0 ? ZeroFlags.MayUnmap : ZeroFlags.None);
                    model.AsSpan(offset, length).Clear();
                    break;
                case 1:
                    await node.DiscardAsync(offset, length);
                    await AssertOldOrZeroAsync(node, model, offset, length);
                    break;
                default:
                    Pattern.Fill(model.AsSpan(offset, length), offset, writer: i);
                    await node.WriteAsync(offset, model.AsMemory(offset, length));
                    break;
            }
        }

        await AssertReadsAsync(node, model);
    }

    [Theory]
    [InlineData(-1, 1)]
    [InlineData(Length, 1)]
    [InlineData(Length - 1, 2)]
    [InlineData(long.MaxValue, 1)]
    [InlineData(long.MaxValue - 1, 512)]
    public async Task A_request_outside_the_disk_is_refused_and_changes_nothing(long offset, int length)
    {
        await using BlockNode node = await CreateAsync(Length);
        byte[] buffer = Pattern.Of(0, length, writer: 1);
        await AssertKindAsync(BlockErrorKind.OutOfRange, () => node.ReadAsync(offset, new byte[length]));
        await AssertKindAsync(BlockErrorKind.OutOfRange, () => node.WriteAsync(offset, buffer));
        await AssertKindAsync(BlockErrorKind.OutOfRange, () => node.WriteZeroesAsync(offset, length));
        await AssertKindAsync(BlockErrorKind.OutOfRange, () => node.DiscardAsync(offset, length));
        await AssertKindAsync(BlockErrorKind.OutOfRange, async () => await node.GetStatusAsync(offset, length, StatusDepth.Node));
        Assert.Equal(Length, node.Length);
        Assert.True(ZeroBytes.IsAllZero(await ReadAllAsync(node)));
    }

    [Fact]
    public async Task A_request_of_no_bytes_does_nothing_anywhere_up_to_the_end()
    {
        await using BlockNode node = await CreateAsync(Length);
        foreach (long offset in new long[] { 0, 1, Length })
        {
            await node.ReadAsync(offset, Memory<byte>.Empty);
            await node.WriteAsync(offset, ReadOnlyMemory<byte>.Empty);
            await node.WriteZeroesAsync(offset, 0);
            await node.DiscardAsync(offset, 0);
        }

        Assert.Equal(Length, node.Length);
    }

    [Fact]
    public async Task Status_runs_cover_the_disk_and_never_call_written_data_zero()
    {
        await using BlockNode node = await CreateAsync(Length);
        byte[] model = new byte[Length];
        foreach ((int offset, int length) in new[] { (0, 10), (200_000, 70_000), (Length - 5, 5) })
        {
            Pattern.Fill(model.AsSpan(offset, length), offset, writer: 1);
            await node.WriteAsync(offset, model.AsMemory(offset, length));
        }

        await node.WriteZeroesAsync(210_000, 20_000);
        model.AsSpan(210_000, 20_000).Clear();
        for (long at = 0; at < Length;)
        {
            BlockStatus status = await node.GetStatusAsync(at, Length - at, StatusDepth.Chain);
            Assert.InRange(status.Length, 1, Length - at);
            bool zero = ZeroBytes.IsAllZero(model.AsSpan((int)at, (int)status.Length));
            Assert.True(zero || !status.IsZero, $"{status} is not all zero at {at}");
            Assert.True(zero || status.IsData, $"{status} holds data at {at}");
            at += status.Length;
        }
    }

    [Fact]
    public async Task Overlapping_writes_in_flight_leave_each_sector_to_one_writer()
    {
        await using BlockNode node = await CreateAsync(Length);
        const int Writers = 8;
        const int Span = 200 * 512;
        Task[] writes = [.. Enumerable.Range(0, Writers).Select(
            writer => Task.Run(async () => await node.WriteAsync(writer * 512L, Pattern.Of(writer * 512L, Span, writer + 1))))];
        await Task.WhenAll(writes);

        byte[] found = await ReadAllAsync(node);
        for (int sector = 0; sector < 200 + Writers - 1; sector++)
        {
            long offset = sector * 512L;
            bool whole = Enumerable.Range(1, Writers).Any(writer => found.AsSpan((int)offset, 512).SequenceEqual(Pattern.Of(offset, 512, writer)));
            Assert.True(whole, $"sector {sector} mixes writers");
        }
    }

    [Fact]
    public async Task A_cancelled_token_stops_a_request_before_it_starts()
    {
        await using BlockNode node = await CreateAsync(Length);
        var cancelled = new CancellationToken(canceled: true);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await node.WriteAsync(0, new byte[] { 1 }, WriteFlags.None, cancelled));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await node.ReadAsync(0, new byte[1], ReadFlags.None, cancelled));
        Assert.True(ZeroBytes.IsAllZero(await ReadAllAsync(node)));
    }

    [Fact]
    public async Task A_drain_waits_for_what_is_inside_and_holds_back_what_comes()
    {
        await using BlockNode node = await CreateAsync(Length);
        Task[] before = [.. Enumerable.Range(0, 32).Select(i => node.WriteAsync(i * 4096, Pattern.Of(i * 4096, 4096, 1)).AsTask())];
        Task held;
        using (await DrainScope.BeginAsync(node))
        {
            Assert.True(Task.WhenAll(before).IsCompletedSuccessfully);
            held = node.WriteAsync(0, Pattern.Of(0, 512, 2)).AsTask();
            Assert.False(held.IsCompleted);
        }

        await held;
        byte[] found = new byte[512];
        await node.ReadAsync(0, found);
        Assert.True(found.AsSpan().SequenceEqual(Pattern.Of(0, 512, 2)));
    }

    [Fact]
    public async Task A_disposed_node_refuses_requests()
    {
        BlockNode node = await CreateAsync(Length);
        await node.DisposeAsync();
        await Assert.ThrowsAsync<ObjectDisposedException>(async () => await node.ReadAsync(0, new byte[1]));
        await Assert.ThrowsAsync<ObjectDisposedException>(async () => await node.FlushAsync());
    }

    [Fact]
    public async Task What_was_written_is_there_after_reopening()
    {
        BlockNode node = await CreateAsync(Length);
        byte[] model = new byte[Length];
        Pattern.Fill(model.AsSpan(1000, 200_000), 1000, writer: 3);
        await node.WriteAsync(1000, model.AsMemory(1000, 200_000));
        await node.DisposeAsync();
        if (ReopenAsync(NodeAccess.ReadOnly) is not { } reopening)
        {
            Assert.Skip("nothing outlives this node");
            return;
        }

        await using BlockNode reopened = await reopening;
        await AssertReadsAsync(reopened, model);
        await AssertKindAsync(BlockErrorKind.ReadOnly, () => reopened.WriteAsync(0, new byte[] { 1 }));
        await AssertKindAsync(BlockErrorKind.ReadOnly, () => reopened.WriteZeroesAsync(0, 1));
        await AssertKindAsync(BlockErrorKind.ReadOnly, () => reopened.DiscardAsync(0, 1));
    }

    [Fact]
    public async Task Two_parents_that_do_not_share_writing_are_refused()
    {
        await using BlockNode node = await CreateAsync(Length);
        node.AddReference();
        await using var reader = new PassThroughNode(node, ImagePermissions.ConsistentRead, ImagePermissions.ConsistentRead);
        BlockLayerException refused = Assert.Throws<BlockLayerException>(
            () => new PassThroughNode(node, ImagePermissions.ConsistentRead | ImagePermissions.Write, ImagePermissions.All));
        Assert.Equal(BlockErrorKind.Conflict, refused.Kind);
        await AssertKindAsync(BlockErrorKind.Conflict, () => node.WriteAsync(0, new byte[] { 1 }));
    }

    private protected static async Task AssertKindAsync(BlockErrorKind kind, Func<ValueTask> action)
    {
        BlockLayerException error = await Assert.ThrowsAnyAsync<BlockLayerException>(async () => await action());
        Assert.Equal(kind, error.Kind);
    }

    private protected static async Task<byte[]> ReadAllAsync(BlockNode node)
    {
        byte[] content = new byte[node.Length];
        await node.ReadAsync(0, content);
        return content;
    }

    private protected static async Task AssertReadsAsync(BlockNode node, byte[] model)
    {
        byte[] found = await ReadAllAsync(node);
        int difference = found.AsSpan().CommonPrefixLength(model);
        Assert.True(difference == model.Length, $"differs from the model at byte {difference}");
    }

    private static async Task AssertOldOrZeroAsync(BlockNode node, byte[] model, int offset, int length)
    {
        byte[] found = new byte[length];
        await node.ReadAsync(offset, found);
        for (int i = 0; i < length; i++)
        {
            Assert.True(found[i] == 0 || found[i] == model[offset + i], $"byte {offset + i} is neither old nor zero after a discard");
            model[offset + i] = found[i];
        }
    }
}
