using System.Numerics;
using System.Runtime.ExceptionServices;
using BlockLayer.Primitives;

namespace BlockLayer.Simulation;

/// <summary>
/// Runs asynchronous code on one thread, one step at a time, in an order that a seed decides. A step is a completion (of a lock, a load, a copy), a
/// simulated request, a timer or a piece of CPU work; what it wakes runs inside it up to the next wait. Virtual time advances only when nothing can
/// run. The same seed and program give the same run, which <see cref="TraceHash"/> proves.
/// </summary>
/// <remarks>
/// Invariants: (1) every step runs on the thread that called the run method, directly from its loop: no step nests in another, none is sent to the thread
/// pool; (2) no <see cref="SynchronizationContext"/> is in force during a run, because one would send <c>ConfigureAwait(false)</c> continuations to the
/// pool; (3) time never goes back. The code under test keeps the rules that make this work: it awaits nothing but locks and completions of this library,
/// requests to simulated storage, the simulation's clock and work, and tasks made of those. (A <c>Task.Delay</c> that is cancelled by its token resumes on the pool even with a
/// simulated clock; <c>Pause</c> of this library does not.)
/// <code>
///   Schedule(delay) --> later (by due time, then by number) --time comes--> ready --seeded pick--> runs
///   completion posted ---------------------------------------------------->'
/// </code>
/// </remarks>
public sealed class SimulationScheduler
{
    private const int RememberedSteps = 16;

    private readonly SimulationOptions _options;
    private readonly SeededRandom _random;
    private readonly ReadySet _ready;
    private readonly PriorityQueue<ReadyItem, (long Due, long Id)> _later = new();
    private readonly CompletionOrder _order;
    private readonly List<Strand> _strands = [];
    private readonly ReadyItem?[] _recent = new ReadyItem?[RememberedSteps];
    private int _unfinished;
    private ExceptionDispatchInfo? _failure;
    private int _thread; // 0 outside a run
    private long _nextId;
    private ulong _trace = 0xCBF29CE484222325;

    /// <summary>A simulation with default options and this seed.</summary>
    public SimulationScheduler(ulong seed)
        : this(new SimulationOptions { Seed = seed })
    {
    }

    /// <summary>A simulation at time zero with nothing to run.</summary>
    public SimulationScheduler(SimulationOptions options)
    {
        _options = options;
        _random = new SeededRandom(options.Seed);
        _ready = ReadySet.Create(options.Order, _random.Fork(0));
        _order = new CompletionOrder(this);
        Time = new VirtualTimeProvider(this, options.Epoch);
        Work = new SimulatedWorkScheduler(this, options.WorkDegree);
    }

    /// <summary>The seed of the run.</summary>
    public ulong Seed => _options.Seed;

    /// <summary>The simulation's clock; give it to everything that asks for time.</summary>
    public VirtualTimeProvider Time { get; }

    /// <summary>Where the program under test sends CPU work.</summary>
    public SimulatedWorkScheduler Work { get; }

    /// <summary>Steps taken so far.</summary>
    public long Steps { get; private set; }

    /// <summary>Virtual time since the simulation began.</summary>
    public TimeSpan Elapsed => TimeSpan.FromTicks(Now / VirtualTimeProvider.NanosecondsPerTick);

    /// <summary>A digest of every choice so far, and of what was given to <see cref="Trace"/>. Equal for equal runs.</summary>
    public ulong TraceHash => _trace;

    /// <summary>Virtual time in nanoseconds.</summary>
    internal long Now { get; private set; }

    /// <summary>A generator for another consumer of randomness in this run, independent of the order of steps.</summary>
    public SeededRandom CreateRandom(ulong purpose) => _random.Fork(purpose + 1);

    /// <summary>Mixes an observation into <see cref="TraceHash"/>.</summary>
    public void Trace(ulong value) => _trace = (BitOperations.RotateLeft(_trace, 5) ^ value) * 0x9E3779B97F4A7C15;

    /// <summary>
    /// Adds a strand: a guest, a job, a monitor. Its first step is picked like any other once a run method is called; a failure of it ends the run.
    /// </summary>
    /// <param name="name">What the strand is called when it never ends.</param>
    /// <param name="operation">What it does.</param>
    public void Spawn(string name, Func<Task> operation)
    {
        var strand = new Strand(name);
        _strands.Add(strand);
        _unfinished++;
        _ = RunStrandAsync(strand, operation);
    }

    /// <summary>Runs <paramref name="main"/> and all strands to their end.</summary>
    /// <exception cref="SimulationDeadlockException">Somebody waits for something that never comes.</exception>
    /// <exception cref="SimulationLivelockException">More steps than the options allow.</exception>
    /// <remarks>The first failure of a strand ends the run at once and is thrown as it is.</remarks>
    public void Run(Func<Task> main)
    {
        Spawn("main", main);
        Run();
    }

    /// <summary>As <see cref="Run(Func{Task})"/>, with a result.</summary>
    public T Run<T>(Func<Task<T>> main)
    {
        T result = default!;
        Run(async () => { result = await main().ConfigureAwait(false); });
        return result;
    }

    /// <summary>Runs all strands to their end; otherwise as <see cref="Run(Func{Task})"/>.</summary>
    public void Run() => Drive(static scheduler => scheduler._unfinished == 0, long.MaxValue, this);

    /// <summary>Runs until <paramref name="condition"/>, asked before every step, is true; strands may be left unfinished and go on in the next run.</summary>
    /// <exception cref="SimulationDeadlockException">Nothing can run any more and the condition is still false.</exception>
    /// <exception cref="SimulationLivelockException">More steps than the options allow.</exception>
    public void RunUntil(Func<bool> condition) => Drive(static condition => condition(), long.MaxValue, condition);

    /// <summary>Runs everything that happens up to <paramref name="duration"/> from now, and leaves the clock there. Unfinished strands are no error.</summary>
    /// <exception cref="SimulationLivelockException">More steps than the options allow.</exception>
    public void Advance(TimeSpan duration)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(duration, TimeSpan.Zero);
        long end = checked(Now + VirtualTimeProvider.ToNanoseconds(duration));
        Drive(static scheduler => false, end, this);
        Now = end;
    }

    /// <summary>A place where anything else that is ready may run first. Resumes at the same virtual time.</summary>
    public ValueTask StepAsync()
    {
        var step = new Waiter<bool>();
        step.TryGrant(true);
        AddReady(step);
        return step.VoidTask;
    }

    /// <summary>Makes <paramref name="item"/> ready after <paramref name="delay"/> nanoseconds of virtual time.</summary>
    internal void Schedule(ReadyItem item, long delay)
    {
        if (delay == 0)
        {
            AddReady(item);
            return;
        }

        AssertThread();
        _later.Enqueue(item, (checked(Now + delay), _nextId++));
    }

    private void AddReady(ReadyItem item)
    {
        AssertThread();
        _ready.Add(item, _nextId++);
    }

    private async Task RunStrandAsync(Strand strand, Func<Task> operation)
    {
        await StepAsync().ConfigureAwait(false);
        try
        {
            await operation().ConfigureAwait(false);
            AssertThread();
        }
        catch (Exception error)
        {
            _failure ??= ExceptionDispatchInfo.Capture(error);
        }

        _strands.Remove(strand);
        _unfinished--;
    }

    private void Drive<TState>(Func<TState, bool> isDone, long end, TState state)
    {
        if (_thread != 0)
        {
            throw new InvalidOperationException("The simulation is running already; a run is not started from inside a run.");
        }

        if (TaskScheduler.Current != TaskScheduler.Default)
        {
            throw new InvalidOperationException("A simulation cannot be driven from a task of a special TaskScheduler: awaits would return to it instead of the loop.");
        }

        SynchronizationContext? context = SynchronizationContext.Current;
        SynchronizationContext.SetSynchronizationContext(null);
        ReadyOrder? outer = ReadyList.Install(_order); // of the simulation whose step runs this one, if there is one
        _thread = Environment.CurrentManagedThreadId;
        try
        {
            while (_failure is null && !isDone(state))
            {
                if (_ready.Count == 0 && !AdvanceTime(end))
                {
                    if (end != long.MaxValue)
                    {
                        return;
                    }

                    throw Deadlock();
                }

                Step();
            }
        }
        finally
        {
            _thread = 0;
            ReadyList.Install(outer);
            SynchronizationContext.SetSynchronizationContext(context);
        }

        if (_failure is { } failure)
        {
            _failure = null;
            failure.Throw();
        }
    }

    private void Step()
    {
        (ReadyItem item, long id) = _ready.Take();
        _recent[(int)(Steps % RememberedSteps)] = item;
        if (++Steps > _options.StepLimit)
        {
            throw new SimulationLivelockException(Seed, $"The simulation took more than {_options.StepLimit} steps; {_options}, virtual time {Elapsed}. {Describe()}");
        }

        Trace((ulong)id);
        item.Run();
    }

    /// <summary>Moves the clock to the next scheduled step not after <paramref name="end"/> and makes all steps of that moment ready; false if there is none.</summary>
    private bool AdvanceTime(long end)
    {
        while (_later.TryPeek(out ReadyItem? item, out (long Due, long Id) at))
        {
            if (item is ICancellableStep { IsCancelled: true })
            {
                _later.Dequeue();
                continue;
            }

            if (at.Due > end)
            {
                return false;
            }

            Now = at.Due;
            Trace((ulong)Now);
            while (_later.TryPeek(out item, out at) && at.Due == Now)
            {
                _later.Dequeue();
                _ready.Add(item, at.Id);
            }

            return true;
        }

        return false;
    }

    private void AssertThread()
    {
        if (_thread != 0 && _thread != Environment.CurrentManagedThreadId)
        {
            throw new SimulationException(Seed, $"Code under simulation left the driving thread ({_options}); it awaited something that the simulation does not drive.");
        }
    }

    private SimulationDeadlockException Deadlock()
    {
        string[] waiting = [.. _strands.Select(strand => strand.Name)];
        string names = waiting.Length == 0 ? "the condition of the run" : string.Join(", ", waiting);
        return new SimulationDeadlockException(
            Seed,
            waiting,
            $"Nothing can run and no timer is set, but these have not finished: {names}; {_options}, after {Steps} steps, virtual time {Elapsed}. "
            + $"They wait for each other, for a breakpoint that nothing reaches, or for what the simulation does not drive: Task.Run, the system's clock, a call outside this run. {Describe()}");
    }

    private string Describe()
    {
        IEnumerable<ReadyItem> oldestFirst = Enumerable.Range(0, RememberedSteps)
            .Select(i => _recent[(int)((Steps + i) % RememberedSteps)])
            .OfType<ReadyItem>();
        return $"Last steps: {string.Join(", ", oldestFirst)}.";
    }

    private sealed class Strand(string name)
    {
        internal string Name { get; } = name;
    }

    private sealed class CompletionOrder(SimulationScheduler scheduler) : ReadyOrder
    {
        internal override void Add(ReadyItem item) => scheduler.AddReady(item);
    }
}
