using BlockLayer.Primitives;
using BlockLayer.Requests;
using Xunit;

namespace BlockLayer.Tests.Requests;

public class RangeClaimsTests
{
    private readonly RangeClaims _claims = new();

    [Fact]
    public async Task Shared_claims_overlap_and_an_exclusive_one_waits_for_all_of_them()
    {
        RangeClaims.Claim first = await EnterAsync(0, 10, ClaimMode.Shared);
        RangeClaims.Claim second = await EnterAsync(5, 10, ClaimMode.Shared);
        Task<RangeClaims.Claim> exclusive = EnterAsync(8, 4, ClaimMode.Exclusive);
        first.Dispose();
        Assert.False(exclusive.IsCompleted);
        second.Dispose();
        (await exclusive).Dispose();
    }

    [Fact]
    public async Task A_shared_claim_does_not_overtake_an_exclusive_one_that_waits()
    {
        RangeClaims.Claim shared = await EnterAsync(0, 10, ClaimMode.Shared);
        Task<RangeClaims.Claim> exclusive = EnterAsync(0, 10, ClaimMode.Exclusive);
        Task<RangeClaims.Claim> late = EnterAsync(9, 1, ClaimMode.Shared);
        Assert.False(late.IsCompleted);
        shared.Dispose();
        Assert.False(late.IsCompleted);
        (await exclusive).Dispose();
        (await late).Dispose();
    }

    [Fact]
    public void Claims_that_share_no_byte_do_not_wait()
    {
        Assert.True(EnterAsync(0, 10, ClaimMode.Exclusive).IsCompletedSuccessfully);
        Assert.True(EnterAsync(10, 10, ClaimMode.Exclusive).IsCompletedSuccessfully);
        Assert.True(EnterAsync(5, 0, ClaimMode.Exclusive).IsCompletedSuccessfully);
    }

    [Fact]
    public async Task A_cancelled_claim_lets_those_behind_it_through()
    {
        using var cancellation = new CancellationTokenSource();
        using RangeClaims.Claim shared = await EnterAsync(0, 10, ClaimMode.Shared);
        Task<RangeClaims.Claim> cancelled = EnterAsync(0, 10, ClaimMode.Exclusive, cancellation.Token);
        Task<RangeClaims.Claim> behind = EnterAsync(0, 10, ClaimMode.Shared);
        Assert.False(behind.IsCompleted);

        cancellation.Cancel();

        await Assert.ThrowsAsync<OperationCanceledException>(() => cancelled);
        (await behind).Dispose();
    }

    [Fact]
    public async Task A_cancelled_token_leaves_no_claim_behind()
    {
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => EnterAsync(0, 10, ClaimMode.Exclusive, new CancellationToken(canceled: true)));
        (await EnterAsync(0, 10, ClaimMode.Exclusive)).Dispose();
    }

    [Fact]
    public async Task Letting_a_claim_go_twice_does_nothing()
    {
        RangeClaims.Claim claim = await EnterAsync(0, 10, ClaimMode.Exclusive);
        claim.Dispose();
        using RangeClaims.Claim next = await EnterAsync(0, 10, ClaimMode.Exclusive);
        Task<RangeClaims.Claim> waiting = EnterAsync(0, 10, ClaimMode.Exclusive);
        claim.Dispose();
        Assert.False(waiting.IsCompleted);
        next.Dispose();
        (await waiting).Dispose();
    }

    // Small random schedules of claiming, cancelling and letting go, against the rule itself: a claim is granted exactly when no earlier one that is
    // neither cancelled nor gone stands in its way.
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void Random_schedules_grant_exactly_what_the_rule_says(int seed)
    {
        var random = new Random(seed);
        for (int schedule = 0; schedule < 500; schedule++)
        {
            RunSchedule(random, steps: 40);
        }
    }

    private static void RunSchedule(Random random, int steps)
    {
        var claims = new RangeClaims();
        var model = new List<Entry>();
        for (int step = 0; step < steps || model.Count > 0; step++)
        {
            int action = step < steps ? random.Next(4) : 2;
            if (action <= 1 || model.Count == 0)
            {
                var range = new ByteRange(random.Next(8), random.Next(4));
                ClaimMode mode = random.Next(2) == 0 ? ClaimMode.Shared : ClaimMode.Exclusive;
                var cancellation = new CancellationTokenSource();
                model.Add(new Entry(range, mode, cancellation, claims.EnterAsync(range, mode, cancellation.Token).AsTask()));
            }
            else
            {
                Entry chosen = model[random.Next(model.Count)];
                if (chosen.Task.IsCompletedSuccessfully)
                {
                    chosen.Task.Result.Dispose();
                    model.Remove(chosen);
                }
                else if (action == 3)
                {
                    chosen.Cancellation.Cancel();
                    Assert.True(chosen.Task.IsCanceled);
                    model.Remove(chosen);
                }
            }

            AssertRule(model);
        }

        ValueTask<RangeClaims.Claim> whole = claims.EnterAsync(new ByteRange(0, 100), ClaimMode.Exclusive, CancellationToken.None);
        Assert.True(whole.IsCompletedSuccessfully, "a claim was left behind");
    }

    private static void AssertRule(List<Entry> model)
    {
        for (int i = 0; i < model.Count; i++)
        {
            Entry later = model[i];
            bool blocked = model.Take(i).Any(earlier => earlier.Range.Overlaps(later.Range)
                && (earlier.Mode == ClaimMode.Exclusive || later.Mode == ClaimMode.Exclusive));
            Assert.True(later.Task.IsCompletedSuccessfully == !blocked, $"{later.Mode} {later.Range}, {i} behind the first, blocked: {blocked}");
        }
    }

    private Task<RangeClaims.Claim> EnterAsync(long offset, long length, ClaimMode mode, CancellationToken cancellationToken = default)
        => _claims.EnterAsync(new ByteRange(offset, length), mode, cancellationToken).AsTask();

    private sealed record Entry(ByteRange Range, ClaimMode Mode, CancellationTokenSource Cancellation, Task<RangeClaims.Claim> Task);
}
