namespace BlockLayer.Storage;

/// <summary>
/// The threads on which calls of local files block. They are not those of the thread pool, which starts with one a processor and adds one or two a
/// second: a disk that could serve 64 requests at once would be asked for two, and a few slow flushes would stop every continuation of the process.
/// Measured (4 KiB random reads past the page cache, 64 in flight, 2 processors): 18,000 to 28,000 a second on the pool, 50,000 here.
/// </summary>
/// <remarks>
/// A thread is started when a call finds none idle, at most <see cref="MaxThreads"/>, and ends when it has been idle for
/// <see cref="IdleMilliseconds"/>. Whoever awaits a call continues on the thread that made it.
/// <para>
/// Work that does nothing but move bytes runs here too (<see cref="StartCopying"/>), and makes its calls itself: what it has read is written from its processor's cache,
/// and nobody is woken for it.
/// </para>
/// </remarks>
internal static class BlockingThreads
{
    /// <summary>As many as QEMU has for the same purpose.</summary>
    private const int MaxThreads = 64;

    private const int IdleMilliseconds = 10_000;

    private static readonly object s_gate = new();                       // a Monitor, because threads wait on it
    private static readonly Queue<IThreadPoolWorkItem> s_waiting = new(); // guarded by s_gate
    private static int s_threads;                                        // guarded by s_gate
    private static int s_idle;                                           // guarded by s_gate: threads that wait, those included that were woken just now

    [ThreadStatic]
    private static bool t_isCopying;

    /// <summary>True inside work that <see cref="StartCopying"/> started: its thread is there to be blocked, so no call of it is handed over.</summary>
    internal static bool IsCopying => t_isCopying;

    /// <summary>Has work done by one of the threads that moves bytes and may be blocked. It throws nothing.</summary>
    internal static void StartCopying(Action work) => Queue(new Copying(work));

    /// <summary>Has the item executed by one of the threads, in the order of the calls.</summary>
    internal static void Queue(IThreadPoolWorkItem item)
    {
        lock (s_gate)
        {
            s_waiting.Enqueue(item);
            if (s_waiting.Count <= s_idle)
            {
                Monitor.Pulse(s_gate);
                return;
            }

            if (s_threads == MaxThreads)
            {
                return;
            }

            s_threads++;
        }

        // Not under the lock: a start may take long, and others need not wait for it.
        new Thread(Work) { IsBackground = true, Name = "BlockLayer I/O" }.UnsafeStart();
    }

    private static void Work()
    {
        while (TryTake(out IThreadPoolWorkItem? item))
        {
            item.Execute();
        }
    }

    private static bool TryTake([System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out IThreadPoolWorkItem? item)
    {
        lock (s_gate)
        {
            while (!s_waiting.TryDequeue(out item))
            {
                s_idle++;
                bool woken = Monitor.Wait(s_gate, IdleMilliseconds);
                s_idle--;
                if (!woken && s_waiting.Count == 0)
                {
                    s_threads--;
                    return false;
                }
            }

            return true;
        }
    }

    private sealed class Copying(Action work) : IThreadPoolWorkItem
    {
        public void Execute()
        {
            t_isCopying = true;
            work();
            t_isCopying = false;
        }
    }
}
