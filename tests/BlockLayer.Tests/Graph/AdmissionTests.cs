using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Graph;

/// <summary>What the base makes of requests before a driver sees them. The scripted node checks every request that it is handed.</summary>
public class AdmissionTests
{
    private readonly BlockEnvironment _environment = TestEnvironment.Inline();

    [Theory]
    [InlineData(1, 1, 4096)]
    [InlineData(2, 512, 512)]
    [InlineData(3, 512, 4096)]
    [InlineData(4, 512, 5000)]
    [InlineData(5, 4096, 4096)]
    [InlineData(6, 4096, 65536)]
    public async Task Random_requests_match_a_byte_array_whatever_the_limits(int seed, int alignment, int maxTransfer)
    {
        const int Length = 40_000 + 77; // no multiple of anything
        var random = new Random(seed);
        byte[] model = new byte[Length];
        await using ScriptedNode node = await CreateAsync(Length, new BlockLimits { RequestAlignment = alignment, MaxTransfer = maxTransfer });
        for (int i = 1; i <= 2000; i++)
        {
            int offset = random.Next(Length + 1);
            int length = random.Next(Math.Min(random.Next(2) == 0 ? 700 : 20_000, Length - offset) + 1);
            Memory<byte> range = model.AsMemory(offset, length);
            switch (random.Next(5))
            {
                case 0:
                    range.Span.Clear();
                    await node.WriteZeroesAsync(offset, length);
                    break;
                case 1 or 2:
                    Pattern.Fill(range.Span, offset, writer: i);
                    await node.WriteAsync(offset, range, random.Next(4) == 0 ? WriteFlags.Fua : WriteFlags.None);
                    break;
                default:
                    byte[] found = new byte[length];
                    await node.ReadAsync(offset, found);
                    Assert.True(range.Span.SequenceEqual(found), $"operation {i}: {length} bytes at {offset} differ");
                    break;
            }
        }

        Assert.Equal(0, _environment.Buffers.Outstanding);
        Assert.True(node.Gate.IsIdle);
    }

    [Theory]
    [InlineData(0, 9000, 4096)]
    [InlineData(4095, 2, 4096)]
    [InlineData(4090, 6, 4096)]
    public async Task Unaligned_writes_in_flight_do_not_undo_each_other(int offset, int length, int alignment)
    {
        await using ScriptedNode node = await CreateAsync(20_000, new BlockLimits { RequestAlignment = alignment });
        TaskCompletionSource hold = node.Script.Hold("read");
        Task first = node.WriteAsync(offset, Pattern.Of(offset, length, 1)).AsTask();
        Task second = node.WriteAsync(offset + length, Pattern.Of(offset + length, 100, 2)).AsTask();

        hold.SetResult();
        await Task.WhenAll(first, second);

        byte[] found = new byte[length + 100];
        await node.ReadAsync(offset, found);
        Assert.Equal(Pattern.Of(offset, length, 1), found[..length]);
        Assert.Equal(Pattern.Of(offset + length, 100, 2), found[length..]);
    }

    [Fact]
    public async Task A_discard_is_not_undone_by_a_write_beside_it_that_had_read_the_unit_before()
    {
        await using ScriptedNode node = await CreateAsync(20_480, new BlockLimits { RequestAlignment = 4096 });
        await node.WriteAsync(0, Pattern.Of(0, 4096, 1));
        TaskCompletionSource hold = node.Script.Hold("write");
        Task write = node.WriteAsync(0, Pattern.Of(0, 512, 2)).AsTask(); // has read the unit
        Task discard = node.DiscardAsync(0, 8192).AsTask();
        Assert.False(discard.IsCompleted);
        hold.SetResult();
        await Task.WhenAll(write, discard);
        byte[] found = new byte[4096];
        await node.ReadAsync(0, found);
        Assert.All(found, value => Assert.Equal(0, value));
    }

    [Fact]
    public async Task A_failed_read_before_a_write_writes_nothing_and_lets_everything_go()
    {
        await using ScriptedNode node = await CreateAsync(20_000, new BlockLimits { RequestAlignment = 4096 });
        node.Script.Fail("read", new BlockLayerException(BlockErrorKind.Io, "no"));
        await Assert.ThrowsAsync<BlockLayerException>(async () => await node.WriteAsync(100, new byte[10]));
        Assert.Equal(0, node.Script.Count("write"));
        Assert.Equal(0, _environment.Buffers.Outstanding);
        Assert.True(node.Gate.IsIdle);

        node.Script.Fail("read", null);
        await node.WriteAsync(100, new byte[10]); // the claim is gone too
    }

    [Fact]
    public async Task Large_requests_reach_the_driver_in_order_cut_between_sectors()
    {
        await using ScriptedNode node = await CreateAsync(30_000, new BlockLimits { MaxTransfer = 10_300 });
        await node.WriteAsync(100, new byte[25_000]);
        await node.ReadAsync(0, new byte[30_000]);
        Assert.Equal(
            [
                new("write", 100, 10_140), new("write", 10_240, 10_240), new("write", 20_480, 4620),
                new("read", 0, 10_240), new("read", 10_240, 10_240), new("read", 20_480, 9520),
            ],
            node.Script.Calls);
    }

    [Fact]
    public async Task A_request_that_has_begun_is_carried_to_its_end_whatever_the_token_says()
    {
        await using ScriptedNode node = await CreateAsync(40_000, new BlockLimits { MaxTransfer = 8192 });
        using var cancellation = new CancellationTokenSource();
        byte[] content = Pattern.Of(0, 40_000, 1);
        await using var cancelling = new CancelAfterFirstWrite(node, cancellation);
        await cancelling.WriteAsync(0, content, WriteFlags.None, cancellation.Token);

        Assert.True(cancellation.IsCancellationRequested);
        byte[] found = new byte[40_000];
        await cancelling.ReadAsync(0, found);
        Assert.Equal(content, found);

        using var again = new CancellationTokenSource();
        cancelling.Cancellation = again;
        await cancelling.WriteZeroesAsync(0, 40_000, ZeroFlags.None, again.Token);
        await cancelling.ReadAsync(0, found);
        Assert.True(found.AsSpan().IndexOfAnyExcept((byte)0) < 0);
    }

    [Fact]
    public async Task A_write_with_fua_is_followed_by_a_flush_and_one_without_is_not()
    {
        await using ScriptedNode node = await CreateAsync(10_000);
        await node.WriteAsync(0, new byte[100]);
        Assert.Equal(["write"], node.Script.Calls.Select(call => call.Operation));
        node.Script.Clear();
        await node.WriteAsync(0, new byte[100], WriteFlags.Fua);
        await node.WriteZeroesAsync(0, 100, ZeroFlags.Fua);
        Assert.Equal(["write", "flush", "write", "flush"], node.Script.Calls.Select(call => call.Operation));
    }

    [Fact]
    public async Task A_failed_flush_fails_the_write_with_fua()
    {
        await using ScriptedNode node = await CreateAsync(10_000);
        node.Script.Fail("flush", new BlockLayerException(BlockErrorKind.Io, "no"));
        await Assert.ThrowsAsync<BlockLayerException>(async () => await node.WriteAsync(0, new byte[100], WriteFlags.Fua));
        await Assert.ThrowsAsync<BlockLayerException>(async () => await node.WriteZeroesAsync(0, 100, ZeroFlags.Fua));
        node.Script.Fail("flush", null);
    }

    [Fact]
    public async Task A_request_of_no_bytes_reaches_no_driver_not_even_with_fua()
    {
        await using ScriptedNode node = await CreateAsync(10_000, new BlockLimits { RequestAlignment = 512 });
        await node.ReadAsync(10, Memory<byte>.Empty);
        await node.WriteAsync(10, ReadOnlyMemory<byte>.Empty, WriteFlags.Fua);
        await node.WriteZeroesAsync(10, 0, ZeroFlags.Fua);
        await node.DiscardAsync(10, 0);
        Assert.Empty(node.Script.Calls);
    }

    [Fact]
    public async Task A_compressed_write_is_refused_where_nothing_is_compressed()
    {
        await using ScriptedNode node = await CreateAsync(10_000);
        BlockLayerException refused = await Assert.ThrowsAsync<BlockLayerException>(async () => await node.WriteAsync(0, new byte[512], WriteFlags.Compressed));
        Assert.Equal(BlockErrorKind.Unsupported, refused.Kind);
        Assert.Equal("'scripted' (scripted) cannot store compressed data.", refused.Message);
        Assert.Empty(node.Script.Calls);
    }

    [Theory]
    [InlineData(512, 512)]
    [InlineData(512, 100)]
    [InlineData(100, 2000)]
    public async Task Zeroes_without_fallback_are_refused_where_they_would_be_written(long offset, long length)
    {
        await using ScriptedNode node = await CreateAsync(10_000, new BlockLimits { RequestAlignment = 512 });
        BlockLayerException refused = await Assert.ThrowsAsync<BlockLayerException>(
            async () => await node.WriteZeroesAsync(offset, length, ZeroFlags.NoFallback));
        Assert.Equal(BlockErrorKind.Unsupported, refused.Kind);
        Assert.Empty(node.Script.Calls);
    }

    [Theory]
    [InlineData(0, 65_536, 0, 65_536)]
    [InlineData(1, 65_535, -1, 0)]
    [InlineData(1, 70_000, -1, 0)]
    [InlineData(4096, 195_000, 65_536, 131_072)]
    [InlineData(65_536, 134_465, 65_536, 134_465)]
    [InlineData(196_608, 3393, 196_608, 3393)]
    [InlineData(200_000, 1, -1, 0)]
    public async Task A_discard_keeps_to_whole_units_and_the_end_of_the_node_ends_one(long offset, long length, long reachesAt, long reachesLength)
    {
        await using ScriptedNode node = await CreateAsync(200_001, new BlockLimits { DiscardGranularity = 65_536 });
        length = Math.Min(length, node.Length - offset);
        await node.DiscardAsync(offset, length);
        Assert.Equal(reachesAt < 0 ? [] : [new ScriptedCall("discard", reachesAt, Math.Min(reachesLength, node.Length - reachesAt))], node.Script.Calls);
    }

    [Fact]
    public async Task The_end_of_the_address_space_is_no_special_place()
    {
        await using var node = new ScriptedNode(
            new NullStorage(long.MaxValue), _environment, new BlockLimits { RequestAlignment = 512, DiscardGranularity = 65_536, MaxTransfer = 4096 });
        const long Near = long.MaxValue - 100;
        await node.DiscardAsync(Near, 100);
        await node.DiscardAsync(0, long.MaxValue);
        await node.ReadAsync(Near, new byte[100]);
        await Assert.ThrowsAsync<BlockLayerException>(async () => await node.DiscardAsync(Near, 101));
        Assert.Equal(new ScriptedCall("discard", 0, long.MaxValue), Assert.Single(node.Script.Calls, call => call.Operation == "discard"));
    }

    [Fact]
    public async Task A_parent_that_may_resize_grows_its_child_to_exactly_the_end_of_the_write()
    {
        ScriptedNode child = await CreateAsync(100, new BlockLimits { RequestAlignment = 4096 }, grows: true);
        await child.WriteAsync(0, Pattern.Of(0, 100, 1));
        await using var parent = new PassThroughNode(child, ImagePermissions.All, ImagePermissions.All);
        byte[] model = new byte[20_010];
        Pattern.Fill(model.AsSpan(0, 100), 0, 1);
        foreach ((int offset, int length) in new[] { (150, 10), (9000, 1), (12_288, 10), (20_000, 10) })
        {
            Pattern.Fill(model.AsSpan(offset, length), offset, 2);
            await parent.Filtered.WriteAsync(offset, model.AsMemory(offset, length), default);
            Assert.Equal(offset + length, child.Length);
        }

        byte[] found = new byte[20_010];
        await child.ReadAsync(0, found);
        Assert.Equal(model, found);
        await Assert.ThrowsAsync<BlockLayerException>(async () => await child.WriteAsync(20_009, new byte[2])); // from outside a disk does not grow
    }

    [Fact]
    public async Task A_padded_read_sees_zeroes_past_the_end()
    {
        ScriptedNode child = await CreateAsync(1000);
        await child.WriteAsync(0, Pattern.Of(0, 1000, 1));
        await using var parent = new PassThroughNode(child, ImagePermissions.ConsistentRead, ImagePermissions.All);
        foreach (int offset in new[] { 0, 990, 1000, 5000 })
        {
            byte[] found = Pattern.Of(0, 2000, writer: 7);
            await parent.Filtered.ReadPaddedAsync(offset, found, default);
            int present = Math.Clamp(1000 - offset, 0, 2000);
            Assert.Equal(Pattern.Of(offset, present, 1), found[..present]);
            Assert.All(found[present..], value => Assert.Equal(0, value));
        }
    }

    private ValueTask<ScriptedNode> CreateAsync(long length, BlockLimits? limits = null, bool grows = false)
        => ScriptedNode.CreateAsync(_environment, length, limits, grows);

    /// <summary>Fires a token once its first write has been carried out.</summary>
    private sealed class CancelAfterFirstWrite(BlockNode child, CancellationTokenSource cancellation)
        : FilterNode("cancelling", child, ImagePermissions.ConsistentRead | ImagePermissions.Write, ImagePermissions.All)
    {
        public override string DriverName => "cancelling";

        internal CancellationTokenSource Cancellation { get; set; } = cancellation;

        private protected override async ValueTask WriteCoreAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
        {
            await base.WriteCoreAsync(offset, buffer, flags, cancellationToken);
            Cancellation.Cancel();
        }

        private protected override async ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
        {
            for (; length > 0; offset += 8192, length -= 8192)
            {
                await Filtered.WriteZeroesAsync(offset, Math.Min(length, 8192), flags, CancellationToken.None);
            }
        }
    }
}
