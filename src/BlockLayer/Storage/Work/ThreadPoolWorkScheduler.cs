using System.Threading.Tasks.Sources;
using BlockLayer.Primitives;

namespace BlockLayer.Storage;

/// <summary>Work on the thread pool of the process: the scheduler of production. Running a piece of work allocates nothing once warm.</summary>
public sealed class ThreadPoolWorkScheduler : WorkScheduler
{
    private ThreadPoolWorkScheduler()
    {
    }

    /// <summary>The one there is: a process has one thread pool.</summary>
    public static ThreadPoolWorkScheduler Instance { get; } = new();

    /// <summary>The processors this process may use.</summary>
    public override int Degree => Environment.ProcessorCount;

    /// <inheritdoc/>
    public override ValueTask RunAsync<TState>(Action<TState> work, TState state) => PooledWork<TState>.Rent().Start(work, state);

    /// <inheritdoc/>
    public override Task StartAsync(Func<Task> operation) => Task.Run(operation);

    internal override void StartCopying(Action work) => BlockingThreads.StartCopying(work);

    /// <summary>A piece of work under way; owned in turn by the pool, the caller, the thread that runs it, and whoever awaits it.</summary>
    private sealed class PooledWork<TState> : ReadyItem, IThreadPoolWorkItem, IValueTaskSource
    {
        private const int MaxFree = 64;

        private static readonly Lock s_gate = new();
        private static PooledWork<TState>? s_free; // guarded by s_gate
        private static int s_freeCount;            // guarded by s_gate

        private PooledWork<TState>? _nextFree;
        private ManualResetValueTaskSourceCore<bool> _core;
        private Action<TState>? _work;
        private TState? _state;
        private Exception? _error;

        internal static PooledWork<TState> Rent()
        {
            lock (s_gate)
            {
                if (s_free is { } item)
                {
                    s_free = item._nextFree;
                    s_freeCount--;
                    return item;
                }
            }

            return new PooledWork<TState>();
        }

        internal ValueTask Start(Action<TState> work, TState state)
        {
            _work = work;
            _state = state;
            var task = new ValueTask(this, _core.Version);
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
            return task;
        }

        void IThreadPoolWorkItem.Execute()
        {
            try
            {
                _work!(_state!);
            }
#pragma warning disable CA1031 // Whatever the work throws, its task throws.
            catch (Exception error)
#pragma warning restore CA1031
            {
                _error = error;
            }

            ReadyList.Post(this);
        }

        internal override void Run()
        {
            if (_error is { } error)
            {
                _core.SetException(error);
            }
            else
            {
                _core.SetResult(true);
            }
        }

        public void GetResult(short token)
        {
            bool isMine = _core.GetStatus(token) != ValueTaskSourceStatus.Pending;
            try
            {
                _core.GetResult(token);
            }
            finally
            {
                if (isMine)
                {
                    Return();
                }
            }
        }

        public ValueTaskSourceStatus GetStatus(short token) => _core.GetStatus(token);

        public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
            => _core.OnCompleted(continuation, state, token, flags);

        private void Return()
        {
            _core.Reset();
            _work = null;
            _state = default;
            _error = null;
            lock (s_gate)
            {
                if (s_freeCount < MaxFree)
                {
                    _nextFree = s_free;
                    s_free = this;
                    s_freeCount++;
                }
            }
        }
    }
}
