using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Requests;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Filters;

public class CopyOnReadTests
{
    private const int Unit = CopyFixture.Unit;
    private const int Guest = 9;

    private static readonly int[] s_base = [CopyFixture.BaseWriter];

    [Fact]
    public async Task A_read_copies_its_whole_unit_and_the_next_read_finds_it()
    {
        await using var disk = new CopyFixture();
        Assert.All(await disk.ReadAsync(Unit + 1024, 512), writer => Assert.Equal(CopyFixture.BaseWriter, writer));
        Assert.Equal(1, disk.Image.AllocatedClusters);
        int reads = disk.Source.Count(OverlayStep.Read);
        await disk.ReadAsync(Unit, Unit);
        Assert.Equal(reads, disk.Source.Count(OverlayStep.Read));
    }

    [Fact]
    public async Task What_only_images_below_bottom_provide_is_read_and_not_copied()
    {
        BlockEnvironment environment = TestEnvironment.Inline();
        var basis = new MemoryOverlayNode("base", CopyFixture.Length, Unit, environment);
        basis.Fill(0, SectorStamp.Of(0, CopyFixture.Length, 1));
        var middle = new MemoryOverlayNode("middle", CopyFixture.Length, 4096, environment, basis);
        middle.Fill(Unit + 8192, SectorStamp.Of(Unit + 8192, 4096, 2));
        var image = new MemoryOverlayNode("image", CopyFixture.Length, 16384, environment, middle);
        CopyOnReadNode filter = CopyOnReadNode.Create(image, bottom: middle);
        image.AddReference();

        byte[] all = new byte[CopyFixture.Length];
        await filter.ReadAsync(0, all);

        Assert.Equal(1, image.AllocatedClusters); // the 16 KiB around the 4 KiB that the middle provides
        byte[] cluster = new byte[16384];
        await filter.DisposeAsync();
        await image.DetachAsync(image.BackingEdge!);
        await image.ReadAsync(Origin.Edge, Unit, cluster, ReadFlags.None, CancellationToken.None);
        Assert.True(cluster.AsSpan().SequenceEqual(all.AsSpan(Unit, 16384)));
        Assert.Equal(2, SectorStamp.WriterOf(cluster.AsSpan(8192), Unit + 8192));
        await image.DisposeAsync();
    }

    [Fact]
    public async Task The_links_down_to_bottom_stay_as_they_are_while_the_filter_lives()
    {
        BlockEnvironment environment = TestEnvironment.Inline();
        var basis = new MemoryOverlayNode("base", CopyFixture.Length, Unit, environment);
        var middle = new MemoryOverlayNode("middle", CopyFixture.Length, Unit, environment, basis);
        var image = new MemoryOverlayNode("image", CopyFixture.Length, Unit, environment, middle);
        image.AddReference();
        CopyOnReadNode filter = CopyOnReadNode.Create(image, bottom: middle);
        BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(() => image.DetachAsync(image.BackingEdge!).AsTask());
        Assert.Equal("The Backing link from 'image' to 'middle' cannot change: copy-on-read down to 'middle' uses it.", error.Message);
        error = Assert.Throws<BlockLayerException>(() => ChainClaim.Take(image, middle, "a job"));
        Assert.Equal(BlockErrorKind.Conflict, error.Kind);
        await middle.DetachAsync(middle.BackingEdge!); // what lies below bottom is not its affair

        await filter.DisposeAsync();
        ChainClaim.Take(image, middle, "a job").Dispose();
        await image.DetachAsync(image.BackingEdge!);
        await image.DisposeAsync();
    }

    [Fact]
    public async Task A_bottom_that_is_not_in_the_chain_is_refused()
    {
        await using var disk = new CopyFixture();
        await using var stranger = new MemoryOverlayNode("stranger", CopyFixture.Length, Unit, disk.Environment);
        BlockLayerException error = Assert.Throws<BlockLayerException>(() => CopyOnReadNode.Create(disk.Image, stranger));
        Assert.Equal((BlockErrorKind.NotFound, "'stranger' is not in the backing chain of 'image'."), (error.Kind, error.Message));
    }

    [Fact]
    public async Task A_reader_is_answered_before_the_store_and_a_flush_waits_for_it()
    {
        await using var disk = new CopyFixture(CopyStrategy.Cancel);
        disk.Steps.Hold(OverlayStep.Store);
        Task read = disk.ReadAsync(0, 512);
        Assert.True(read.IsCompletedSuccessfully);
        Task flush = disk.Filter.FlushAsync().AsTask();
        Task<DrainScope> drain = DrainScope.BeginAsync(disk.Filter).AsTask();
        Assert.False(flush.IsCompleted);
        Assert.False(drain.IsCompleted);
        disk.Steps.Release(OverlayStep.Store);
        await flush;
        (await drain).Dispose();
        Assert.True(await disk.IsAllocatedAsync(0));
    }

    [Fact]
    public async Task Store_first_strategies_answer_after_the_store()
    {
        await using var disk = new CopyFixture(CopyStrategy.CancelStoreFirst);
        disk.Steps.Hold(OverlayStep.Store);
        Task read = disk.ReadAsync(0, 512);
        Assert.False(read.IsCompleted);
        disk.Steps.Release(OverlayStep.Store);
        await read;
    }

    [Fact]
    public async Task Closing_waits_for_the_store_behind_an_answered_reader()
    {
        var disk = new CopyFixture();
        disk.Steps.Hold(OverlayStep.Store);
        await disk.ReadAsync(0, 512);
        Task close = disk.DisposeAsync().AsTask();
        Assert.False(close.IsCompleted);
        disk.Steps.Release(OverlayStep.Store);
        await close;
        Assert.Equal(0, disk.Environment.Buffers.Outstanding);
    }

    [Fact]
    public async Task Many_readers_of_one_unit_cause_one_fetch()
    {
        await using var disk = new CopyFixture();
        disk.Source.Hold(OverlayStep.Read);
        Task<int[]>[] readers = [.. Enumerable.Range(0, 128).Select(i => disk.ReadAsync(i * 512L, 512))];
        disk.Source.Release(OverlayStep.Read);
        int[][] answers = await Task.WhenAll(readers);
        Assert.All(answers, writers => Assert.Equal([CopyFixture.BaseWriter], writers));
        Assert.Equal(1, disk.Source.Count(OverlayStep.Read));
    }

    [Fact]
    public async Task Under_cancel_a_guest_write_goes_on_at_once_and_the_late_bytes_do_not_land()
    {
        await using var disk = new CopyFixture(CopyStrategy.Cancel);
        disk.Source.Hold(OverlayStep.Read);
        Task<int[]> read = disk.ReadAsync(0, Unit);
        Task write = disk.WriteAsync(0, Unit, Guest);
        Assert.True(write.IsCompletedSuccessfully);
        disk.Source.Release(OverlayStep.Read);
        await read;
        Assert.All(await disk.ReadAsync(0, Unit), writer => Assert.Equal(Guest, writer));
    }

    [Fact]
    public async Task Under_wait_a_guest_write_waits_for_the_copy_and_lands_on_it()
    {
        await using var disk = new CopyFixture(CopyStrategy.Wait);
        disk.Source.Hold(OverlayStep.Read);
        Task<int[]> read = disk.ReadAsync(0, Unit);
        Task write = disk.WriteAsync(512, 512, Guest);
        Assert.False(write.IsCompleted);
        disk.Source.Release(OverlayStep.Read);
        await read;
        await write;
        int[] after = await disk.ReadAsync(0, 2048);
        Assert.Equal([CopyFixture.BaseWriter, Guest, CopyFixture.BaseWriter, CopyFixture.BaseWriter], after);
    }

    [Fact]
    public async Task A_partial_write_over_a_cancelled_copy_keeps_the_rest_of_its_cluster()
    {
        await using var disk = new CopyFixture(CopyStrategy.Cancel);
        disk.Source.Hold(OverlayStep.Read);
        Task<int[]> read = disk.ReadAsync(0, 512);
        Task write = disk.WriteAsync(1024, 512, Guest);
        disk.Source.Release(OverlayStep.Read);
        await Task.WhenAll(read, write);
        int[] after = await disk.ReadAsync(0, 2048);
        Assert.Equal([CopyFixture.BaseWriter, CopyFixture.BaseWriter, Guest, CopyFixture.BaseWriter], after);
    }

    [Fact]
    public async Task A_write_discarded_while_its_unit_was_being_copied_does_not_come_back()
    {
        await using var disk = new CopyFixture(CopyStrategy.Cancel, cluster: 4096);
        disk.Source.Hold(OverlayStep.Read);
        Task<int[]> read = disk.ReadAsync(0, 512);
        await disk.WriteAsync(8192, 4096, Guest);
        await disk.Filter.DiscardAsync(8192, 4096);
        disk.Source.Release(OverlayStep.Read);
        await read;
        await disk.CopyUpAsync(0, Unit);
        Assert.All(await disk.ReadAsync(8192, 4096), writer => Assert.Equal(SectorStamp.Zero, writer));
    }

    [Fact]
    public async Task A_failed_store_does_not_fail_the_read_and_after_three_the_unit_is_read_through()
    {
        await using var disk = new CopyFixture();
        disk.Steps.FailWhen((step, _) => step == OverlayStep.Store ? BlockErrorKind.NoSpace : null);
        for (int i = 0; i < 5; i++)
        {
            Assert.Equal(s_base, await disk.ReadAsync(0, 512));
        }

        Assert.Equal(CopyQueue.FailuresBeforeReadThrough, disk.Steps.Count(OverlayStep.Store));
        Assert.False(await disk.IsAllocatedAsync(0));
        disk.Steps.FailNothing();
        CopyOutcome retried = await disk.CopyUpAsync(0, Unit);
        Assert.Equal((Unit, null), (retried.StoredBytes, retried.Error));
        Assert.True(await disk.IsAllocatedAsync(0));
    }

    [Fact]
    public async Task A_bad_sector_in_the_unit_fails_those_who_want_it_and_nobody_else()
    {
        await using var disk = new CopyFixture(cluster: 4096);
        var bad = new ByteRange(8192, 512);
        disk.Source.FailWhen((step, range) => step == OverlayStep.Read && range.Overlaps(bad) ? BlockErrorKind.Io : null);
        Assert.Equal(s_base, await disk.ReadAsync(0, 512));
        BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(() => disk.ReadAsync(8192, 512));
        Assert.Equal(BlockErrorKind.Io, error.Kind);
        CopyOutcome copy = await disk.CopyUpAsync(0, Unit);
        Assert.Equal(CopyStep.Read, copy.FailedStep);
        Assert.Equal(BlockErrorKind.Io, ((BlockLayerException)copy.Error!).Kind);
        Assert.True(disk.Filter.Queue.IsIdle);
    }

    [Fact]
    public async Task Readers_who_wait_for_the_same_bytes_get_the_error_of_the_fetch_and_read_nothing_again()
    {
        await using var disk = new CopyFixture();
        disk.Source.Hold(OverlayStep.Read);
        Task<int[]>[] readers = [.. Enumerable.Range(0, 10).Select(_ => disk.ReadAsync(0, Unit))];
        disk.Source.FailWhen((step, _) => step == OverlayStep.Read ? BlockErrorKind.Io : null);
        disk.Source.Release(OverlayStep.Read);
        foreach (Task<int[]> reader in readers)
        {
            await Assert.ThrowsAsync<BlockLayerException>(() => reader);
        }

        Assert.Equal(1, disk.Source.Count(OverlayStep.Read));
    }

    [Fact]
    public async Task A_read_that_gets_no_memory_is_read_through()
    {
        await using var disk = new CopyFixture(memory: Unit);
        disk.Source.Hold(OverlayStep.Read);
        Task<int[]> first = disk.ReadAsync(0, 512);
        Task<int[]> second = disk.ReadAsync(4L * Unit, 512);
        disk.Source.Release(OverlayStep.Read);
        await Task.WhenAll(first, second);
        Assert.True(await disk.IsAllocatedAsync(0));
        Assert.False(await disk.IsAllocatedAsync(4L * Unit));
    }

    [Fact]
    public async Task A_cancelled_reader_leaves_its_copy_to_the_others()
    {
        await using var disk = new CopyFixture();
        using var impatience = new CancellationTokenSource();
        disk.Source.Hold(OverlayStep.Read);
        Task<int[]> first = disk.ReadAsync(0, 512, impatience.Token);
        Task<int[]> joined = disk.ReadAsync(512, 512, impatience.Token);
        Task<int[]> patient = disk.ReadAsync(1024, 512);
        impatience.Cancel();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => joined);
        disk.Source.Release(OverlayStep.Read);
        Assert.Equal(s_base, await patient);
        await first; // it had submitted: it runs to its end
        Assert.True(await disk.IsAllocatedAsync(0));
    }

    [Fact]
    public async Task Zeroes_are_stored_as_zeroes_without_reading_them()
    {
        await using var disk = new CopyFixture();
        disk.Base.FillZero(0, 4 * Unit);
        CopyOutcome outcome = await disk.Filter.CopyUpAsync(Origin.Door, new ByteRange(0, 4 * Unit), memory: 0, CancellationToken.None);
        Assert.Equal(4L * Unit, outcome.StoredBytes);
        Assert.Equal(0, disk.Source.Count(OverlayStep.Read));
        Assert.True((await disk.Image.GetStatusAsync(Origin.Edge, 0, 4 * Unit, StatusDepth.Node, CancellationToken.None)) is { IsZero: true, Length: 4 * Unit });
    }

    [Fact]
    public async Task Data_that_is_all_zero_is_stored_as_zeroes()
    {
        await using var disk = new CopyFixture();
        disk.Base.Fill(Unit, new byte[Unit]);
        await disk.ReadAsync(Unit, 512);
        Assert.True((await disk.Image.GetStatusAsync(Origin.Edge, Unit, Unit, StatusDepth.Node, CancellationToken.None)).IsZero);
    }

    [Fact]
    public async Task An_image_that_cannot_be_written_is_read_through()
    {
        await using var disk = new CopyFixture(access: NodeAccess.ReadOnly);
        Assert.False(disk.Filter.CanCopy);
        Assert.Equal(s_base, await disk.ReadAsync(0, 512));
        Assert.False(await disk.IsAllocatedAsync(0));
    }

    [Fact]
    public async Task A_read_across_copies_guests_and_allocated_parts_is_put_together()
    {
        await using var disk = new CopyFixture(CopyStrategy.Wait, cluster: 4096);
        await disk.WriteAsync(4096, 4096, Guest);
        disk.Source.Hold(OverlayStep.Read);
        Task<int[]> joined = disk.ReadAsync(2L * Unit, 512);
        disk.Steps.Hold(OverlayStep.Publish);
        Task writing = disk.WriteAsync(Unit, 4096, Guest + 1);
        Task<int[]> read = disk.ReadAsync(0, 3 * Unit);
        disk.Source.Release(OverlayStep.Read);
        disk.Steps.Release(OverlayStep.Publish);
        await Task.WhenAll(joined, writing, read);
        int[] found = await read;
        for (int sector = 0; sector < found.Length; sector++)
        {
            int expected = sector is >= 8 and < 16 ? Guest : CopyFixture.BaseWriter;
            bool concurrent = sector is >= 128 and < 136 && found[sector] == Guest + 1;
            Assert.True(found[sector] == expected || concurrent, $"sector {sector} holds {found[sector]}");
        }
    }

    [Fact]
    public async Task A_strategy_may_widen_a_copy_within_one_piece_and_the_disk()
    {
        await using var disk = new CopyFixture(new Prefetching(units: 100, refused: -1));
        await disk.ReadAsync(2L * Unit, 512);
        Assert.Equal(14, disk.Image.AllocatedClusters); // from its own unit to the end of the disk, which is one piece
        Assert.Equal(1, disk.Source.Count(OverlayStep.Read));
    }

    [Fact]
    public async Task A_strategy_may_refuse_a_unit_which_is_then_read_through()
    {
        await using var disk = new CopyFixture(new Prefetching(units: 1, refused: 3));
        Assert.All(await disk.ReadAsync(2L * Unit, 3 * Unit), writer => Assert.Equal(CopyFixture.BaseWriter, writer));
        Assert.True(await disk.IsAllocatedAsync(2L * Unit));
        Assert.False(await disk.IsAllocatedAsync(3L * Unit));
        Assert.True(await disk.IsAllocatedAsync(4L * Unit));
    }

    [Fact]
    public async Task Requests_on_allocated_clusters_complete_at_once_and_allocate_nothing()
    {
        await using var disk = new CopyFixture();
        byte[] buffer = new byte[4096];
        for (int offset = 0; offset < CopyFixture.Length; offset += Unit)
        {
            await disk.ReadAsync(offset, 512);
        }

        disk.Image.Steps = OverlaySteps.None;
        long least = long.MaxValue; // a garbage collection in another test may disturb the count of a round
        for (int round = 0; round < 10; round++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int offset = 0; offset < CopyFixture.Length; offset += 4096)
            {
                ValueTask read = disk.Filter.ReadAsync(offset, buffer);
                Assert.True(read.IsCompletedSuccessfully);
            }

            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        Assert.Equal(0, least);
    }

    private sealed class Prefetching(int units, int refused) : CopyStrategy
    {
        public override string Name => "prefetching";

        public override CopyConflict OnGuestWrite(ByteRange unit) => CopyConflict.CancelCopy;

        public override bool CopiesOnRead(ByteRange unit) => unit.Offset != refused * (long)Unit;

        public override ByteRange Widen(ByteRange wanted) => new(wanted.Offset, Math.Max(wanted.Length, units * (long)Unit));
    }
}
