using BlockLayer.Storage;
using Xunit;

namespace BlockLayer.Tests.Storage;

public sealed class WorkSchedulerTests
{
    public static TheoryData<WorkScheduler> Schedulers { get; } = [ThreadPoolWorkScheduler.Instance, InlineWorkScheduler.Instance];

    [Theory]
    [MemberData(nameof(Schedulers))]
    public async Task Work_has_run_when_its_task_completes(WorkScheduler scheduler)
    {
        int[] counter = [0];

        for (int i = 0; i < 100; i++)
        {
            await scheduler.RunAsync(static state => state[0]++, counter);
        }

        Assert.Equal(100, counter[0]);
        Assert.InRange(scheduler.Degree, 1, Environment.ProcessorCount);
    }

    [Theory]
    [MemberData(nameof(Schedulers))]
    public async Task What_the_work_throws_its_task_throws(WorkScheduler scheduler)
    {
        ValueTask task = scheduler.RunAsync(static message => throw new InvalidDataException(message), "broken");

        var error = await Assert.ThrowsAsync<InvalidDataException>(async () => await task);

        Assert.Equal("broken", error.Message);
        await scheduler.RunAsync(static _ => { }, 0);
    }

    [Theory]
    [MemberData(nameof(Schedulers))]
    public async Task Operation_that_throws_at_once_fails_its_task(WorkScheduler scheduler)
    {
        Task task = scheduler.StartAsync(() => throw new InvalidDataException("broken"));

        await Assert.ThrowsAsync<InvalidDataException>(() => task);
    }

    [Theory]
    [MemberData(nameof(Schedulers))]
    public async Task Started_operation_completes_when_it_has_ended(WorkScheduler scheduler)
    {
        var gate = new TaskCompletionSource();
        bool ended = false;

        Task task = scheduler.StartAsync(async () =>
        {
            await gate.Task;
            ended = true;
        });
        Assert.False(task.IsCompleted);
        gate.SetResult();
        await task;

        Assert.True(ended);
    }

    // Items are reused: results and errors of one round must not turn up in the next.
    [Fact]
    public async Task Many_pieces_at_once_each_get_their_own_result()
    {
        for (int round = 0; round < 5; round++)
        {
            int[] done = new int[500];
            await Task.WhenAll(Enumerable.Range(0, 500).Select(async i =>
            {
                try
                {
                    await ThreadPoolWorkScheduler.Instance.RunAsync(
                        static state =>
                        {
                            state.Done[state.I]++;
                            if (state.I % 7 == 0)
                            {
                                throw new InvalidDataException($"{state.I}");
                            }
                        },
                        (Done: done, I: i));
                    Assert.NotEqual(0, i % 7);
                }
                catch (InvalidDataException error)
                {
                    Assert.Equal($"{i}", error.Message);
                }
            }));
            Assert.All(done, count => Assert.Equal(1, count));
        }
    }
}
