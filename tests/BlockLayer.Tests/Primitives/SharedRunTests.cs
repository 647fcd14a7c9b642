using BlockLayer.Primitives;
using Xunit;

namespace BlockLayer.Tests.Primitives;

public sealed class SharedRunTests
{
    private readonly List<Completion> _runs = [];
    private readonly SharedRun _run;

    public SharedRunTests() => _run = new SharedRun(() =>
    {
        _runs.Add(new Completion());
        return _runs[^1].WaitAsync();
    });

    [Fact]
    public async Task Callers_that_come_while_one_runs_share_the_next_and_not_the_present_one()
    {
        Task first = JoinAsync();
        Task second = JoinAsync();
        Task third = JoinAsync();
        _runs[0].Complete();
        await first;
        Assert.Equal((2, false, false), (_runs.Count, second.IsCompleted, third.IsCompleted));
        _runs[1].Complete();
        await second;
        await third;
        Assert.Equal(2, _runs.Count);
    }

    [Fact]
    public async Task A_failure_is_told_to_those_who_share_it_and_the_next_run_is_another()
    {
        Task first = JoinAsync();
        Task second = JoinAsync();
        _runs[0].Fail(new IOException("lost"));
        Assert.Equal("lost", (await Assert.ThrowsAsync<IOException>(() => first)).Message);
        _runs[1].Complete();
        await second;
        Task third = JoinAsync();
        _runs[2].Complete();
        await third;
    }

    [Fact]
    public async Task Who_gives_up_leaves_the_run_to_the_others()
    {
        using var stop = new CancellationTokenSource();
        Task first = JoinAsync();
        Task impatient = _run.JoinAsync(stop.Token).AsTask();
        Task patient = JoinAsync();
        stop.Cancel();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => impatient);
        _runs[0].Complete();
        _runs[1].Complete();
        await first;
        await patient;
    }

    private Task JoinAsync() => _run.JoinAsync(CancellationToken.None).AsTask();
}
