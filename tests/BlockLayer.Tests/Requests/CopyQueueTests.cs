using BlockLayer.Primitives;
using BlockLayer.Requests;
using Xunit;

namespace BlockLayer.Tests.Requests;

/// <summary>The rules of the write queue, one by one.</summary>
public class CopyQueueTests
{
    private const int Unit = 64 * 1024;
    private const long End = 64 * Unit;

    [Fact]
    public void Neighbouring_units_are_one_copy_and_guests_between_split_it()
    {
        CopyQueue queue = Queue(CopyStrategy.Cancel);
        using GuestClaim guest = Enter(queue, Unit, Unit);
        List<CopyShare> shares = Claim(queue, 0, 4);
        Assert.Equal([(0L, true), (Unit, false), (2L * Unit, true)], shares.Select(share => (share.Range.Offset, share.IsMine)));
        Assert.Equal(2L * Unit, shares[2].Range.Length);
    }

    [Fact]
    public void A_second_reader_joins_the_first_ones_copy()
    {
        CopyQueue queue = Queue(CopyStrategy.Cancel);
        RangeCopy copy = Claim(queue, 0, 1)[0].Copy!;
        CopyShare second = Assert.Single(Claim(queue, 0, 1));
        Assert.Same(copy, second.Copy);
        Assert.False(second.IsMine);
    }

    [Fact]
    public void A_guest_cancels_a_copy_that_has_not_begun_its_store()
    {
        CopyQueue queue = Queue(CopyStrategy.Cancel);
        RangeCopy copy = Fetched(queue, 0, 3);
        using GuestClaim guest = Enter(queue, Unit + 100, 1);
        Assert.Equal([0L, 2L * Unit], Store(queue, copy));
    }

    [Fact]
    public async Task A_guest_of_the_waiting_strategy_waits_until_the_unit_is_stored()
    {
        CopyQueue queue = Queue(CopyStrategy.Wait);
        RangeCopy copy = Fetched(queue, 0, 1);
        Task<GuestClaim> guest = queue.EnterGuestAsync(new ByteRange(0, 512), CancellationToken.None).AsTask();
        Assert.False(guest.IsCompleted);
        Assert.True(queue.TryBeginStore(copy, out ByteRange units));
        Assert.False(guest.IsCompleted);
        queue.EndStore(copy, units, error: null);
        (await guest).Dispose();
    }

    [Theory]
    [InlineData("cancel")]
    [InlineData("wait")]
    public async Task A_store_that_has_begun_is_waited_for_and_then_no_copy_comes_between(string strategy)
    {
        CopyQueue queue = Queue(CopyStrategy.All.Single(known => known.Name == strategy));
        RangeCopy copy = Fetched(queue, 0, 1);
        Assert.True(queue.TryBeginStore(copy, out ByteRange units));
        Task<GuestClaim> guest = queue.EnterGuestAsync(units, CancellationToken.None).AsTask();
        Assert.False(guest.IsCompleted);
        using (ReadyList.Enter())
        {
            queue.EndStore(copy, units, new IOException("no"));
            Assert.False(guest.IsCompleted, "the guest has not run yet, but the unit is its own");
            Assert.Null(Assert.Single(Claim(queue, 0, 1)).Copy);
        }

        (await guest).Dispose();
    }

    [Fact]
    public async Task A_guest_over_several_units_holds_the_lower_ones_while_it_waits_for_a_higher_one()
    {
        CopyQueue queue = Queue(CopyStrategy.Wait);
        RangeCopy copy = Fetched(queue, 2, 1);
        Task<GuestClaim> guest = queue.EnterGuestAsync(new ByteRange(0, 4 * Unit), CancellationToken.None).AsTask();
        Assert.All(Claim(queue, 0, 2), share => Assert.Null(share.Copy));
        Assert.NotNull(Assert.Single(Claim(queue, 3, 1)).Copy); // above what it waits for, nothing is taken yet
        Store(queue, copy);
        Assert.False(guest.IsCompleted, "there is a copy of unit 3 now");
        queue.Abandon(queue.Claim([Data(3, 1)], End, CopyPurpose.GuestRead)[0].Copy!, new IOException("gone"));
        (await guest).Dispose();
        Assert.NotNull(Assert.Single(Claim(queue, 0, 1)).Copy);
    }

    [Fact]
    public void Guests_share_their_claims()
    {
        CopyQueue queue = Queue(CopyStrategy.Wait);
        using GuestClaim one = Enter(queue, 0, Unit);
        using GuestClaim other = Enter(queue, 0, Unit);
    }

    [Fact]
    public void A_reader_at_a_cancelled_unit_reads_through_while_the_guest_is_there_and_revives_the_copy_after()
    {
        CopyQueue queue = Queue(CopyStrategy.Cancel);
        RangeCopy copy = Fetched(queue, 0, 1);
        GuestClaim guest = Enter(queue, 0, 512);
        Assert.Null(Assert.Single(Claim(queue, 0, 1)).Copy);
        guest.Dispose();
        Assert.Same(copy, Assert.Single(Claim(queue, 0, 1)).Copy);
        Assert.Equal([0L], Store(queue, copy));
    }

    [Fact]
    public void A_store_of_data_covers_at_most_512_KiB()
    {
        CopyQueue queue = Queue(CopyStrategy.Cancel);
        RangeCopy copy = Fetched(queue, 0, 16);
        Assert.True(queue.TryBeginStore(copy, out ByteRange units));
        Assert.Equal(512 * 1024, units.Length);
    }

    [Fact]
    public void A_unit_larger_than_every_bound_is_still_copied_whole()
    {
        const int Large = 2 * 1024 * 1024;
        var queue = new CopyQueue(Large, memoryLimit: 1, CopyStrategy.Cancel);
        RangeCopy copy = Assert.Single(queue.Claim([new CopyExtent(new ByteRange(0, Large), false)], 2 * Large, CopyPurpose.GuestRead)).Copy!;
        Assert.True(queue.TryBeginStore(copy, out ByteRange units));
        Assert.Equal(Large, units.Length);
    }

    [Fact]
    public void Without_memory_for_all_a_reader_copies_nothing_but_still_joins_others()
    {
        var queue = new CopyQueue(Unit, memoryLimit: 2 * Unit, CopyStrategy.Cancel);
        RangeCopy first = Claim(queue, 0, 1)[0].Copy!;
        List<CopyShare> shares = Claim(queue, 0, 4);
        Assert.Same(first, shares[0].Copy);
        Assert.Null(shares[1].Copy);
        Assert.Equal(3L * Unit, shares[1].Range.Length);
        Assert.Equal(Unit, queue.Memory.Reserved);
    }

    [Fact]
    public void Zeroes_need_no_memory()
    {
        var queue = new CopyQueue(Unit, memoryLimit: 1, CopyStrategy.Cancel);
        List<CopyShare> shares = queue.Claim([new CopyExtent(new ByteRange(0, 16 * Unit), IsZero: true)], End, CopyPurpose.GuestRead);
        Assert.True(Assert.Single(shares).IsMine);
        Assert.Equal(0, queue.Memory.Reserved);
    }

    [Fact]
    public void After_three_failed_stores_guests_read_through_and_a_job_tries_again()
    {
        CopyQueue queue = Queue(CopyStrategy.Cancel);
        for (int i = 0; i < CopyQueue.FailuresBeforeReadThrough; i++)
        {
            FailStore(queue, Fetched(queue, 0, 1));
        }

        Assert.Null(Assert.Single(Claim(queue, 0, 1)).Copy);
        Assert.True(queue.Memory.TryReserve(Unit));
        CopyShare job = Assert.Single(queue.Claim([Data(0, 1)], End, CopyPurpose.Job, reserved: Unit));
        job.Copy!.Fetched.Complete();
        Store(queue, job.Copy);
        Assert.NotNull(Assert.Single(Claim(queue, 0, 1)).Copy);
    }

    [Fact]
    public async Task A_cancelled_guest_lets_go_of_what_it_held_and_leaves_no_trace()
    {
        CopyQueue queue = Queue(CopyStrategy.Wait);
        RangeCopy copy = Fetched(queue, 1, 1);
        using var cancellation = new CancellationTokenSource();
        Task<GuestClaim> guest = queue.EnterGuestAsync(new ByteRange(0, 2 * Unit), cancellation.Token).AsTask();
        cancellation.Cancel();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => guest);
        Store(queue, copy);
        Assert.True(queue.IsIdle);
    }

    [Fact]
    public async Task A_flush_waits_for_stores_behind_answered_readers_and_for_no_fetch()
    {
        CopyQueue queue = Queue(CopyStrategy.Cancel);
        RangeCopy fetching = Claim(queue, 8, 1)[0].Copy!;
        Assert.True(queue.WhenStoredAsync().IsCompletedSuccessfully);
        RangeCopy copy = Fetched(queue, 0, 1);
        Task flush = queue.WhenStoredAsync().AsTask();
        Assert.False(flush.IsCompleted);
        Store(queue, copy);
        await flush;
        queue.Abandon(fetching, new IOException("over"));
        Assert.True(queue.IsIdle);
    }

    [Fact]
    public async Task A_million_guests_and_a_million_readers_wait_for_one_copy_on_the_stack_of_one()
    {
        const int Count = 1_000_000;
        CopyQueue queue = Queue(CopyStrategy.Wait);
        RangeCopy copy = Claim(queue, 0, 1)[0].Copy!;
        int thread = Environment.CurrentManagedThreadId;
        int left = 2 * Count;
        int elsewhere = 0;
        for (int i = 0; i < Count; i++)
        {
            _ = GuestAsync();
            _ = ReaderAsync();
        }

        Assert.Equal(2 * Count, left);
        copy.Fetched.Complete();
        Store(queue, copy);
        Assert.Equal(0, left);
        Assert.Equal(0, elsewhere);
        Assert.True(queue.IsIdle);
        await queue.WhenStoredAsync();

        async Task GuestAsync()
        {
            using GuestClaim claim = await queue.EnterGuestAsync(new ByteRange(0, 512), CancellationToken.None).ConfigureAwait(false);
            Arrive();
        }

        async Task ReaderAsync()
        {
            await copy.Fetched.WaitAsync().ConfigureAwait(false);
            Arrive();
        }

        void Arrive()
        {
            left--;
            elsewhere += Environment.CurrentManagedThreadId == thread ? 0 : 1;
        }
    }

    private static CopyQueue Queue(CopyStrategy strategy) => new(Unit, memoryLimit: 64 * Unit, strategy);

    private static CopyExtent Data(int unit, int count) => new(new ByteRange(unit * (long)Unit, count * (long)Unit), IsZero: false);

    private static List<CopyShare> Claim(CopyQueue queue, int unit, int count) => queue.Claim([Data(unit, count)], End, CopyPurpose.GuestRead);

    private static RangeCopy Fetched(CopyQueue queue, int unit, int count)
    {
        CopyShare share = Assert.Single(Claim(queue, unit, count));
        Assert.True(share.IsMine);
        share.Copy!.Fetched.Complete();
        return share.Copy;
    }

    private static GuestClaim Enter(CopyQueue queue, long offset, long length)
    {
        ValueTask<GuestClaim> claim = queue.EnterGuestAsync(new ByteRange(offset, length), CancellationToken.None);
        Assert.True(claim.IsCompletedSuccessfully, "the guest had to wait");
        return claim.GetAwaiter().GetResult();
    }

    private static List<long> Store(CopyQueue queue, RangeCopy copy)
    {
        var stored = new List<long>();
        while (queue.TryBeginStore(copy, out ByteRange units))
        {
            stored.Add(units.Offset);
            queue.EndStore(copy, units, error: null);
        }

        queue.Finish(copy);
        return stored;
    }

    private static void FailStore(CopyQueue queue, RangeCopy copy)
    {
        Assert.True(queue.TryBeginStore(copy, out ByteRange units));
        queue.EndStore(copy, units, new IOException("no room"));
        queue.Finish(copy);
    }
}
