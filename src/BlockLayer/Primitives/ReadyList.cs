using System.Diagnostics;

namespace BlockLayer.Primitives;

/// <summary>
/// Where completions wait until the frame that caused them has left its locks behind. Waking a waiter or completing a caller never runs the woken code
/// inside the waker: it is appended here, and the outermost frame of this thread that posts or leaves a <see cref="Scope"/> runs the list, one item
/// after the other. Hence a million waiters on one lock use the stack of one, and nobody is moved to the thread pool.
/// </summary>
/// <remarks>
/// Invariants: (1) items of one thread run on that thread; (2) no item runs inside another; (3) whoever calls <see cref="Post"/> holds no lock and has
/// left its own state consistent, because without an outer frame the item runs before Post returns. The simulation replaces the order in which items
/// run by installing a <see cref="ReadyOrder"/>; items then wait until it drains.
/// </remarks>
internal static class ReadyList
{
    [ThreadStatic]
    private static Queue t_queue;

    [ThreadStatic]
    private static ReadyOrder? t_order;

    /// <summary>Runs <paramref name="item"/> on this thread: at once when nothing is running yet, else after what is running now.</summary>
    public static void Post(ReadyItem item)
    {
        if (t_order is { } order)
        {
            order.Add(item);
            return;
        }

        t_queue.Append(item);
        if (t_queue.Depth == 0)
        {
            t_queue.Run();
        }
    }

    /// <summary>Holds items back until the returned scope is disposed, for a frame that posts several and wants to finish first.</summary>
    public static Scope Enter()
    {
        return new Scope(++t_queue.Depth);
    }

    /// <summary>Routes all items of this thread to <paramref name="order"/> until it is replaced; null runs them as ever.</summary>
    /// <returns>What it replaces, to be installed again.</returns>
    public static ReadyOrder? Install(ReadyOrder? order)
    {
        ReadyOrder? before = t_order;
        t_order = order;
        return before;
    }

    /// <summary>Ends what <see cref="Enter"/> began.</summary>
    public readonly ref struct Scope
    {
        private readonly int _depth;

        internal Scope(int depth) => _depth = depth;

        /// <summary>Runs what was posted meanwhile, if this was the outermost frame.</summary>
        public void Dispose()
        {
            Debug.Assert(t_queue.Depth == _depth, "frames are left in the order they were entered, on their own thread");
            if (--t_queue.Depth == 0)
            {
                t_queue.Run();
            }
        }
    }

    private struct Queue
    {
        private ReadyItem? _first;
        private ReadyItem? _last;

        public int Depth;

        public void Append(ReadyItem item)
        {
            item.Next = null;
            if (_last is null)
            {
                _first = item;
            }
            else
            {
                _last.Next = item;
            }

            _last = item;
        }

        public void Run()
        {
            Depth++;
            try
            {
                while (_first is { } item)
                {
                    _first = item.Next;
                    if (_first is null)
                    {
                        _last = null;
                    }

                    item.Next = null;
                    item.Run();
                }
            }
            finally
            {
                Depth--;
            }
        }
    }
}
