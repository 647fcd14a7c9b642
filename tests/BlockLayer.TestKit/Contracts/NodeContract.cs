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
        if (node.Environment.Buffers != BufferPool.Shared)
        {
            Assert.Equal(0, node.Environment.Buffers.Outstanding);
        }
    }

    // Regions begin and end at odd bytes, so that neighbours share sectors, units and clusters.
    [Fact]
    public async Task Writers_on_threads_of_their_own_do_not_disturb_their_neighbours()
    {
        await using BlockNode node = await CreateAsync(Length);
        const int Writers = 4;
        const int Region = 70_001;
        byte[] model = new byte[Length];
        Task[] writers = [.. Enumerable.Range(0, Writers).Select(writer => Task.Run(() => WriteRegionAsync(node, model, writer * Region, Region, writer + 1)))];
        await Task.WhenAll(writers);
        await AssertReadsAsync(node, model);
    }

    [Fact]
    public async Task A_request_with_fua_does_what_it_does_without()
    {
        await using BlockNode node = await CreateAsync(Length);
        byte[] model = new byte[Length];
        Pattern.Fill(model.AsSpan(1001, 150_000), 1001, writer: 1);
        await node.WriteAsync(1001, model.AsMemory(1001, 150_000), WriteFlags.Fua);
        model.AsSpan(5001, 100_000).Clear();
        await node.WriteZeroesAsync(5001, 100_000, ZeroFlags.Fua);
        await node.FlushAsync();
        await AssertReadsAsync(node, model);
    }

    [Fact]
    public async Task A_compressed_write_is_what_the_limits_promise()
    {
        await using BlockNode node = await CreateAsync(Length);
        byte[] model = new byte[Length];
        if (!node.Limits.SupportsCompressedWrites)
        {
            await AssertKindAsync(BlockErrorKind.Unsupported, () => node.WriteAsync(0, new byte[65_536], WriteFlags.Compressed));
            return;
        }

        int cluster = Math.Min(node.Limits.ClusterSize, Length);
        model.AsSpan(0, cluster).Fill(7);
        await node.WriteAsync(0, model.AsMemory(0, cluster), WriteFlags.Compressed);
        await AssertReadsAsync(node, model);
    }

    [Fact]
    public async Task A_copy_from_below_is_stored_only_where_nothing_is_allocated()
    {
        await using BlockNode node = await CreateAsync(Length);
        if (!node.Limits.SupportsPopulate)
        {
            await AssertKindAsync(BlockErrorKind.Unsupported, () => node.PopulateAsync(0, new byte[512]));
            await AssertKindAsync(BlockErrorKind.Unsupported, () => node.PopulateZeroesAsync(0, 512));
            return;
        }

        byte[] model = new byte[Length];
        foreach ((int offset, int length) in new[] { (10, 100), (300_000, 100_000), (Length - 1, 1) })
        {
            Pattern.Fill(model.AsSpan(offset, length), offset, writer: 1);
            await node.WriteAsync(offset, model.AsMemory(offset, length));
        }

        await node.WriteZeroesAsync(500_000, 100_000);
        for (long at = 0; at < Length;)
        {
            BlockStatus status = await node.GetStatusAsync(at, Length - at, StatusDepth.Node);
            if (!status.IsAllocated)
            {
                Pattern.Fill(model.AsSpan((int)at, (int)status.Length), at, writer: 2);
            }

            at += status.Length;
        }

        await node.PopulateAsync(0, Pattern.Of(0, Length, writer: 2));
        await AssertReadsAsync(node, model);
        await node.PopulateZeroesAsync(0, Length);
        await AssertReadsAsync(node, model);
    }

    [Fact]
    public async Task What_grows_is_zero_and_what_shrinks_is_forgotten()
    {
        await using BlockNode node = await CreateAsync(Length);
        await node.WriteAsync(0, Pattern.Of(0, Length, writer: 1));
        if (!await IsSupportedAsync(() => node.ResizeAsync(Length + 102_400)))
        {
            await AssertReadsAsync(node, Pattern.Of(0, Length, writer: 1)); // refused, and nothing has changed
            return;
        }

        byte[] model = new byte[Length + 102_400];
        Pattern.Fill(model.AsSpan(0, Length), 0, writer: 1);
        await AssertReadsAsync(node, model);

        await AssertKindAsync(BlockErrorKind.OutOfRange, () => node.ResizeAsync(Length));
        await AssertKindAsync(BlockErrorKind.OutOfRange, () => node.ResizeAsync(-1, new ResizeOptions { AllowShrink = true }));
        if (!await IsSupportedAsync(() => node.ResizeAsync(200_192, new ResizeOptions { AllowShrink = true })))
        {
            await AssertReadsAsync(node, model);
            return;
        }

        Assert.Equal(200_192, node.Length);
        await node.ResizeAsync(Length);
        model.AsSpan(200_192).Clear();
        await AssertReadsAsync(node, model[..Length]);
    }

    [Fact]
    public async Task A_status_question_is_about_one_byte_at_least()
    {
        await using BlockNode node = await CreateAsync(Length);
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(async () => await node.GetStatusAsync(0, 0, StatusDepth.Node));
        BlockStatus last = await node.GetStatusAsync(Length - 1, 1, StatusDepth.Node);
        Assert.Equal(1, last.Length);
    }

    // What one image decides, the chain below it cannot change.
    [Fact]
    public async Task A_chain_says_of_what_is_allocated_what_the_node_says()
    {
        await using BlockNode node = await CreateAsync(Length);
        await node.WriteAsync(100_000, Pattern.Of(100_000, 300_000, writer: 1));
        await node.WriteZeroesAsync(200_000, 70_000);
        for (long at = 0; at < Length;)
        {
            BlockStatus own = await node.GetStatusAsync(at, Length - at, StatusDepth.Node);
            BlockStatus chain = await node.GetStatusAsync(at, own.Length, StatusDepth.Chain);
            if (own.IsAllocated)
            {
                Assert.Equal((own.Flags, own.Provider, 0), (chain.Flags, chain.Provider, chain.Depth));
                Assert.NotNull(own.Provider);
            }
            else
            {
                Assert.True(node.Backing is not null || chain.IsZero, $"{chain} at {at}: nothing lies below");
            }

            at += chain.Length;
        }
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
            Assert.True(node.Gate.IsIdle);
            await Task.WhenAll(before); // they have left, though their callers may still have to be told
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

    private static async Task WriteRegionAsync(BlockNode node, byte[] model, int start, int length, int seed)
    {
        var random = new Random(seed);
        for (int i = 0; i < 60; i++)
        {
            int offset = start + random.Next(length);
            Memory<byte> range = model.AsMemory(offset, random.Next(1, Math.Min(9000, start + length - offset) + 1));
            if (random.Next(4) == 0)
            {
                range.Span.Clear();
                await node.WriteZeroesAsync(offset, range.Length, random.Next(2) == 0 ? ZeroFlags.MayUnmap : ZeroFlags.None);
            }
            else
            {
                Pattern.Fill(range.Span, offset, (seed * 1000) + i);
                await node.WriteAsync(offset, range);
            }

            byte[] found = new byte[range.Length];
            await node.ReadAsync(offset, found);
            Assert.True(range.Span.SequenceEqual(found), $"writer {seed} does not read what it wrote at {offset}");
        }
    }

    private static async Task<bool> IsSupportedAsync(Func<ValueTask> resize)
    {
        try
        {
            await resize();
            return true;
        }
        catch (BlockLayerException error) when (error.Kind == BlockErrorKind.Unsupported)
        {
            return false;
        }
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
