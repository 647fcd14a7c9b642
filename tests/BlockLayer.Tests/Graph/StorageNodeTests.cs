using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Graph;

/// <summary>The protocol node over a scripted file: which flushes share a sync, and what a failed one means.</summary>
public class StorageNodeTests
{
    private readonly BlockEnvironment _environment = TestEnvironment.Inline();
    private readonly Script _script = new();

    [Fact]
    public async Task Flushes_share_a_sync_only_if_it_starts_after_all_of_them_were_called()
    {
        await using StorageNode node = await CreateAsync();
        TaskCompletionSource first = _script.Hold("flush");
        Task early = node.FlushAsync().AsTask();
        TaskCompletionSource second = _script.Hold("flush");
        Task[] late = [.. Enumerable.Range(0, 5).Select(_ => node.FlushAsync().AsTask())];
        Assert.Equal(1, _script.Count("flush"));

        first.SetResult();
        await early;
        Assert.Equal(2, _script.Count("flush"));
        Assert.All(late, flush => Assert.False(flush.IsCompleted));

        second.SetResult();
        await Task.WhenAll(late);
        Assert.Equal(2, _script.Count("flush"));
    }

    [Fact]
    public async Task A_flush_with_nothing_to_make_durable_does_not_sync_but_the_first_always_does()
    {
        await using StorageNode node = await CreateAsync();
        await node.FlushAsync(); // a process that died before may have left bytes in the page cache
        Assert.Equal(1, _script.Count("flush"));
        await node.FlushAsync();
        Assert.Equal(1, _script.Count("flush"));
    }

    public static TheoryData<string> Changes => ["write", "zero", "discard", "resize"];

    [Theory]
    [MemberData(nameof(Changes))]
    public async Task Every_change_makes_the_next_flush_sync_also_a_failed_one(string change)
    {
        await using StorageNode node = await CreateAsync();
        await node.FlushAsync();
        await ChangeAsync(node, change);
        await node.FlushAsync();
        Assert.Equal(2, _script.Count("flush"));

        _script.Fail(change, new BlockLayerException(BlockErrorKind.NoSpace, "full"));
        await Assert.ThrowsAsync<BlockLayerException>(async () => await ChangeAsync(node, change));
        await node.FlushAsync();
        Assert.Equal(3, _script.Count("flush"));
    }

    [Fact]
    public async Task A_write_that_completes_during_a_sync_is_not_covered_by_it()
    {
        await using StorageNode node = await CreateAsync();
        TaskCompletionSource hold = _script.Hold("flush");
        Task flush = node.FlushAsync().AsTask();
        await node.WriteAsync(0, new byte[1]);
        hold.SetResult();
        await flush;
        await node.FlushAsync();
        Assert.Equal(2, _script.Count("flush"));
    }

    [Fact]
    public async Task A_failed_sync_is_final_for_writes_and_flushes_and_reads_go_on()
    {
        await using StorageNode node = await CreateAsync();
        TaskCompletionSource hold = _script.Hold("flush");
        Task running = node.FlushAsync().AsTask();
        Task queued = node.FlushAsync().AsTask();

        hold.SetException(new BlockLayerException(BlockErrorKind.Io, "The disk is gone."));

        BlockLayerException first = await Assert.ThrowsAsync<BlockLayerException>(() => running);
        Assert.Equal("The disk is gone.", first.Message);
        BlockLayerException refusal = await Assert.ThrowsAsync<BlockLayerException>(() => queued);
        Assert.Equal("'disk' failed to flush and takes no more writes until it is reopened: The disk is gone.", refusal.Message);
        foreach (string change in Changes.Select(row => row.Data))
        {
            BlockLayerException refused = await Assert.ThrowsAsync<BlockLayerException>(async () => await ChangeAsync(node, change));
            Assert.Equal((BlockErrorKind.Io, "disk"), (refused.Kind, refused.Path));
        }

        await Assert.ThrowsAsync<BlockLayerException>(async () => await node.FlushAsync());
        Assert.Equal(1, _script.Count("flush"));
        await node.ReadAsync(0, new byte[1]);
    }

    [Fact]
    public async Task A_caller_that_gives_up_takes_only_itself_out()
    {
        await using StorageNode node = await CreateAsync();
        using var cancellation = new CancellationTokenSource();
        TaskCompletionSource hold = _script.Hold("flush");
        Task impatient = node.FlushAsync(cancellation.Token).AsTask();
        cancellation.Cancel();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => impatient);
        Task patient = node.FlushAsync().AsTask();
        hold.SetResult();
        await patient;
    }

    [Fact]
    public async Task The_file_is_not_closed_while_a_sync_runs_that_its_caller_gave_up()
    {
        StorageNode node = await CreateAsync();
        using var cancellation = new CancellationTokenSource();
        TaskCompletionSource hold = _script.Hold("flush");
        Task impatient = node.FlushAsync(cancellation.Token).AsTask();
        cancellation.Cancel();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => impatient);

        Task closing = node.DisposeAsync().AsTask();
        Assert.False(closing.IsCompleted);
        hold.SetResult();
        await closing;
        Assert.True(((ScriptedStorage)node.Storage).IsClosed);
    }

    [Fact]
    public async Task Closing_syncs_what_was_written_and_closes_the_file_even_if_that_fails()
    {
        StorageNode node = await CreateAsync();
        await node.WriteAsync(0, new byte[1]);
        _script.Fail("flush", new BlockLayerException(BlockErrorKind.Io, "no"));
        await Assert.ThrowsAsync<BlockLayerException>(async () => await node.DisposeAsync());
        Assert.True(((ScriptedStorage)node.Storage).IsClosed);
    }

    [Fact]
    public async Task Closing_a_file_that_was_only_read_does_not_sync()
    {
        StorageNode node = await CreateAsync();
        await node.ReadAsync(0, new byte[1]);
        await node.DisposeAsync();
        Assert.Equal(0, _script.Count("flush"));
    }

    [Fact]
    public async Task A_parent_that_writes_past_the_end_grows_the_file()
    {
        StorageNode node = await CreateAsync();
        await using var parent = new PassThroughNode(node, ImagePermissions.All, ImagePermissions.All);
        await parent.Filtered.WriteAsync(10_010, new byte[10], default);
        Assert.Equal(10_020, node.Length);
        await parent.Filtered.WriteZeroesAsync(20_000, 10, ZeroFlags.None, default);
        Assert.Equal(20_010, node.Length);
        await node.ReadAsync(0, new byte[20_010]);
    }

    [Fact]
    public async Task A_file_that_shrank_behind_our_back_fails_a_read_with_Io()
    {
        await using StorageNode node = await CreateAsync();
        await node.Storage.SetLengthAsync(100, default);
        BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(async () => await node.ReadAsync(50, new byte[100]));
        Assert.Equal(BlockErrorKind.Io, error.Kind);
    }

    private static ValueTask ChangeAsync(StorageNode node, string change) => change switch
    {
        "write" => node.WriteAsync(0, new byte[10]),
        "zero" => node.WriteZeroesAsync(0, 10),
        "discard" => node.DiscardAsync(0, 10),
        _ => node.ResizeAsync(node.Length + 1),
    };

    private async ValueTask<StorageNode> CreateAsync()
    {
        var options = new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateNew };
        BlockStorage content = await _environment.Files.OpenAsync("disk", options, default);
        await content.SetLengthAsync(10_000, default);
        return new StorageNode(new ScriptedStorage(content, _script), _environment);
    }
}
