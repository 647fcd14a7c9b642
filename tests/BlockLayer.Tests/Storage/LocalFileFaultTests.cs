using BlockLayer.Errors;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Storage;

/// <summary>What a local file makes of an operating system that cuts transfers short, blocks, or fails to flush.</summary>
public sealed class LocalFileFaultTests
{
    private static readonly CancellationToken s_none = CancellationToken.None;

    // Whatever is at hand without blocking, and however the rest is cut, the transfer is whole.
    [Theory]
    [InlineData(1, 0)]
    [InlineData(7, 3)]
    [InlineData(512, 100)]
    [InlineData(5_000, 5_000)]
    public async Task Transfers_cut_short_go_on_where_they_stopped(int atMost, int atHand)
    {
        using var system = new FailingPlatformFile(atMost, atHand);
        await using var file = new LocalFile(system, isReadOnly: false);
        byte[] bytes = Pattern.Of(0, 3_000, 1);
        byte[] read = new byte[3_000];
        Memory<byte>[] pieces = [new byte[1_000], Memory<byte>.Empty, new byte[2_000]];

        await file.WriteAsync(17, bytes, s_none);
        await file.ReadAsync(17, read, s_none);
        await file.WriteAsync(10_000, [bytes.AsMemory(0, 1), bytes.AsMemory(1)], s_none);
        await file.ReadAsync(10_000, pieces, s_none);

        Assert.Equal(bytes, read);
        Assert.Equal(bytes, pieces.SelectMany(piece => piece.ToArray()));
    }

    [Fact]
    public async Task Failed_flush_is_final()
    {
        using var system = new FailingPlatformFile(atMost: 512, atHand: 0) { NextFlushFails = BlockErrorKind.Io };
        await using var file = new LocalFile(system, isReadOnly: false);
        await file.WriteAsync(0, new byte[10], s_none);

        var first = await Assert.ThrowsAsync<BlockLayerException>(async () => await file.FlushAsync(s_none));
        var second = await Assert.ThrowsAsync<BlockLayerException>(async () => await file.FlushAsync(s_none));
        var write = await Assert.ThrowsAsync<BlockLayerException>(async () => await file.WriteAsync(0, new byte[10], s_none));
        var zeroes = await Assert.ThrowsAsync<BlockLayerException>(async () => await file.WriteZeroesAsync(0, 10, ZeroMode.MayUnmap, s_none));

        Assert.Equal("Flush failed: Input/output error.", first.Message);
        Assert.Equal("An earlier flush failed and the file has to be opened anew. Flush failed: Input/output error.", second.Message);
        Assert.Equal(1, system.Flushes);
        Assert.Same(first, write.InnerException);
        Assert.Same(first, zeroes.InnerException);
        await file.ReadAsync(0, new byte[10], s_none);
    }

    [Fact]
    public async Task Token_counts_until_bytes_have_moved()
    {
        using var system = new FailingPlatformFile(atMost: 512, atHand: 10);
        await using var file = new LocalFile(system, isReadOnly: false);
        using var source = new CancellationTokenSource();
        system.Door.Reset();

        ValueTask begun = file.WriteAsync(0, new byte[100], source.Token);
        source.Cancel();
        system.Door.Set();

        await begun;
    }

    // More requests than the pool of calls keeps, all waiting at once, then the same calls once more.
    [Fact]
    public async Task Calls_are_reused_without_mixing_up_their_requests()
    {
        const int Count = 600;
        using var system = new FailingPlatformFile(atMost: 100, atHand: 0);
        await using var file = new LocalFile(system, isReadOnly: false);
        for (int round = 0; round < 3; round++)
        {
            system.Door.Reset();
            Task[] writes = [.. Enumerable.Range(0, Count).Select(i => file.WriteAsync(i * 1000, Pattern.Of(i * 1000, 1000, round), s_none).AsTask())];
            system.Door.Set();
            await Task.WhenAll(writes);
            byte[] read = new byte[Count * 1000];
            await file.ReadAsync(0, read, s_none);
            Assert.Equal(Pattern.Of(0, Count * 1000, round), read);
        }
    }
}
