using BlockLayer.Errors;
using BlockLayer.Primitives;

namespace BlockLayer.Simulation;

/// <summary>Between a call and its effect: asks the fault plan, lets virtual time pass, and completes the caller as a step of the scheduler.</summary>
internal sealed class RequestQueue
{
    private readonly SimulationScheduler? _scheduler;
    private readonly FaultPlan _faults;
    private readonly SeededRandom _random;
    private readonly ServiceClock _shared;
    private readonly Dictionary<string, ServiceClock> _ownByPath = new(StringComparer.Ordinal);

    internal RequestQueue(SimulationScheduler? scheduler, SimulatedStorageOptions options)
    {
        if (scheduler is null && !options.Latency.IsInline)
        {
            throw new ArgumentException("Storage without a scheduler completes its requests inline; any other latency model needs one.", nameof(options));
        }

        _scheduler = scheduler;
        _faults = options.Faults;
        _random = scheduler?.CreateRandom(options.Seed) ?? new SeededRandom(options.Seed);
        _shared = new ServiceClock(options.Latency.Checked(), _random.Fork(1));
    }

    /// <summary>Decides what is left of a request that failed half way.</summary>
    internal SeededRandom Random => _random;

    /// <summary>Gives a file a device of its own.</summary>
    internal void SetLatency(string path, LatencyModel model) => _ownByPath[path] = new ServiceClock(model.Checked(), _random.Fork(2));

    /// <summary>Does <paramref name="issue"/> at once, or when the breakpoint that the request hits lets it go on.</summary>
    internal ValueTask AfterBreakpoint(StorageCall call, Func<ValueTask> issue)
    {
        ValueTask pass = _faults.PassAsync(call);
        return pass.IsCompletedSuccessfully ? issue() : LaterAsync();

        async ValueTask LaterAsync()
        {
            await pass.ConfigureAwait(false);
            await issue().ConfigureAwait(false);
        }
    }

    /// <summary>Runs <paramref name="perform"/> when the request is due and completes the caller after it.</summary>
    /// <param name="call">The request.</param>
    /// <param name="perform">Takes effect according to the fault it is given, and throws the fault's error where it fails.</param>
    internal ValueTask SubmitAsync(StorageCall call, Action<FaultRule?> perform)
    {
        FaultRule? fault = _faults.Decide(call, _random);
        ServiceClock clock = _ownByPath.GetValueOrDefault(call.Path, _shared);
        var request = new Request(call, perform, fault);
        if (fault?.Effect == FaultEffect.Hang)
        {
            return request.VoidTask;
        }

        if (clock.IsInline)
        {
            request.Run();
            return request.VoidTask;
        }

        SimulationScheduler scheduler = _scheduler!;
        scheduler.Trace(((ulong)call.Kind << 48) ^ ((ulong)call.Offset << 8) ^ (ulong)call.Length);
        long delay = clock.GetDelay(call, scheduler.Now);
        if (fault?.Effect == FaultEffect.Slow)
        {
            delay += VirtualTimeProvider.ToNanoseconds(fault.Delay);
        }

        scheduler.Schedule(request, delay);
        return request.VoidTask;
    }

    private sealed class Request(StorageCall call, Action<FaultRule?> perform, FaultRule? fault) : Waiter<bool>
    {
        internal override void Run()
        {
            try
            {
                perform(fault);
                TryGrant(true);
            }
            catch (BlockLayerException error)
            {
                TryFail(error);
            }

            base.Run();
        }

        public override string ToString() => call.ToString();
    }
}
