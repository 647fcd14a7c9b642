using BlockLayer.Requests;
using Xunit;

namespace BlockLayer.Tests.Requests;

public class RequestGateTests
{
    private readonly RequestGate _gate = new();

    [Fact]
    public void An_empty_gate_is_idle_and_nobody_waits_for_it()
    {
        Assert.True(_gate.IsIdle);
        Assert.True(_gate.WhenIdleAsync().IsCompletedSuccessfully);
    }

    [Fact]
    public async Task Who_waits_for_idleness_is_resumed_by_the_last_that_leaves()
    {
        int first = _gate.Enter();
        int second = _gate.Enter();
        Task[] waiting = [_gate.WhenIdleAsync().AsTask(), _gate.WhenIdleAsync().AsTask()];

        _gate.Exit(first);
        Assert.False(_gate.IsIdle);
        Assert.All(waiting, task => Assert.False(task.IsCompleted));

        _gate.Exit(second);
        await Task.WhenAll(waiting);
        Assert.True(_gate.IsIdle);
    }

    [Fact]
    public void An_epoch_ends_when_those_of_the_one_before_have_left()
    {
        long start = _gate.Epoch;
        int old = _gate.Enter();
        Assert.True(_gate.TryAdvanceEpoch());
        int young = _gate.Enter();

        Assert.False(_gate.TryAdvanceEpoch());
        Assert.Equal(start + 1, _gate.Epoch);

        _gate.Exit(old);
        Assert.True(_gate.TryAdvanceEpoch());
        Assert.False(_gate.TryAdvanceEpoch());
        Assert.Equal(start + 2, _gate.Epoch);

        _gate.Exit(young);
        Assert.True(_gate.TryAdvanceEpoch());
        Assert.True(_gate.IsIdle);
    }

    // The next request always enters before the last one leaves, each on a thread of its own, so that the gate is never empty.
    [Fact]
    public void A_gate_that_is_handed_from_request_to_request_is_never_idle()
    {
        const int Rounds = 12_000;
        int turn = 0;
        long idleMoments = 0;
        bool done = false;
        int held = _gate.Enter();
        var runners = new Thread[2];
        for (int i = 0; i < runners.Length; i++)
        {
            int me = i;
            runners[i] = new Thread(() =>
            {
                for (int round = 0; round < Rounds; round++)
                {
                    while (Volatile.Read(ref turn) != me)
                    {
                        Thread.Yield();
                    }

                    int mine = _gate.Enter();
                    _gate.Exit(held);
                    held = mine;
                    Volatile.Write(ref turn, (me + 1) % runners.Length);
                }
            });
        }

        var watcher = new Thread(() =>
        {
            while (!Volatile.Read(ref done))
            {
                idleMoments += _gate.IsIdle ? 1 : 0;
            }
        });
        watcher.Start();
        Array.ForEach(runners, runner => runner.Start());
        Array.ForEach(runners, runner => runner.Join());
        Volatile.Write(ref done, true);
        watcher.Join();

        Assert.Equal(0, idleMoments);
        _gate.Exit(held);
        Assert.True(_gate.IsIdle);
    }

    // What an allocator does with the gate: a value is unpublished, its epoch noted, and two epochs later it is destroyed. No request may see it then.
    [Fact]
    public void What_was_unpublished_two_epochs_ago_is_seen_by_no_request()
    {
        const int Wanted = 200;
        var published = new Box();
        bool done = false;
        long seenDestroyed = 0;
        var readers = new Thread[3];
        for (int i = 0; i < readers.Length; i++)
        {
            readers[i] = new Thread(() =>
            {
                while (!Volatile.Read(ref done))
                {
                    int slot = _gate.Enter();
                    Box box = Volatile.Read(ref published);
                    Thread.SpinWait(20);
                    if (Volatile.Read(ref box.Destroyed))
                    {
                        Interlocked.Increment(ref seenDestroyed);
                    }

                    _gate.Exit(slot);
                }
            });
        }

        Array.ForEach(readers, reader => reader.Start());
        var quarantine = new Queue<(Box Box, long Epoch)>();
        int destroyed = 0;
        while (destroyed < Wanted)
        {
            if (quarantine.Count < 16)
            {
                Box old = published;
                Volatile.Write(ref published, new Box());
                quarantine.Enqueue((old, _gate.Epoch));
            }
            else
            {
                Thread.Yield(); // a reader that lost its processor while inside holds the epochs back
            }

            _gate.TryAdvanceEpoch();
            while (quarantine.TryPeek(out (Box Box, long Epoch) first) && _gate.Epoch >= first.Epoch + 2)
            {
                Volatile.Write(ref quarantine.Dequeue().Box.Destroyed, true);
                destroyed++;
            }
        }

        Volatile.Write(ref done, true);
        Array.ForEach(readers, reader => reader.Join());
        Assert.Equal(0, seenDestroyed);
    }

    // Four threads go in and out while this one waits for idleness again and again: a lost wake-up would hang, and the last moment must be idle.
    [Fact]
    public void No_wake_up_is_lost_among_threads_that_come_and_go()
    {
        const int Rounds = 20_000;
        int running = 4;
        using var start = new Barrier(participantCount: 5);
        Thread[] threads = [.. Enumerable.Range(0, 4).Select(_ => new Thread(() =>
        {
            start.SignalAndWait();
            for (int i = 0; i < Rounds; i++)
            {
                int slot = _gate.Enter();
                _gate.Exit(slot);
                _gate.TryAdvanceEpoch();
            }

            Interlocked.Decrement(ref running);
        }))];
        Array.ForEach(threads, thread => thread.Start());
        start.SignalAndWait();
        do
        {
            AwaitOnThisThread(_gate.WhenIdleAsync().AsTask());
        }
        while (Volatile.Read(ref running) > 0);

        Array.ForEach(threads, thread => thread.Join());
        Assert.True(_gate.IsIdle);
    }

    // Not awaited: the test would go on inside the thread that left last. A lost wake-up would block for ever, so there is an end to it.
    private static void AwaitOnThisThread(Task task)
        => Assert.True(task.Wait(TimeSpan.FromMinutes(1)), "nobody woke the one that waits for idleness");

    private sealed class Box
    {
        internal bool Destroyed;
    }
}
