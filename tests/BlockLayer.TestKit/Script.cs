namespace BlockLayer.TestKit;

/// <summary>One call that a scripted double received.</summary>
/// <param name="Operation">Which: <c>read</c>, <c>write</c>, <c>zero</c>, <c>discard</c>, <c>flush</c>, <c>resize</c>, <c>status</c>.</param>
/// <param name="Offset">First byte.</param>
/// <param name="Length">Bytes.</param>
internal readonly record struct ScriptedCall(string Operation, long Offset = 0, long Length = 0);

/// <summary>
/// What the doubles of one test do with the calls they get: note each, then carry it out, wait for the test to let it go, or fail. Free-threaded.
/// </summary>
internal sealed class Script
{
    private readonly Lock _gate = new();
    private readonly List<ScriptedCall> _calls = [];                         // guarded by _gate
    private readonly Dictionary<string, Exception> _failures = [];           // guarded by _gate
    private readonly Dictionary<string, TaskCompletionSource> _holds = [];   // guarded by _gate

    /// <summary>Told of every call before anything else happens to it.</summary>
    internal Action<ScriptedCall>? OnCall { get; set; }

    /// <summary>The calls received, in order.</summary>
    internal IReadOnlyList<ScriptedCall> Calls
    {
        get
        {
            lock (_gate)
            {
                return [.. _calls];
            }
        }
    }

    /// <summary>How many calls of one operation were received.</summary>
    internal int Count(string operation) => Calls.Count(call => call.Operation == operation);

    /// <summary>Forgets the calls received so far.</summary>
    internal void Clear()
    {
        lock (_gate)
        {
            _calls.Clear();
        }
    }

    /// <summary>Keeps the calls of one operation waiting, from now on until the result is completed or failed. A later hold replaces it for later calls.</summary>
    internal TaskCompletionSource Hold(string operation)
    {
        var hold = new TaskCompletionSource();
        lock (_gate)
        {
            _holds[operation] = hold;
        }

        return hold;
    }

    /// <summary>Fails the calls of one operation from now on; null carries them out again.</summary>
    internal void Fail(string operation, Exception? error)
    {
        lock (_gate)
        {
            _failures.Remove(operation);
            if (error is not null)
            {
                _failures.Add(operation, error);
            }
        }
    }

    /// <summary>What a double awaits before it carries a call out.</summary>
    internal ValueTask ReceiveAsync(ScriptedCall call)
    {
        OnCall?.Invoke(call);
        lock (_gate)
        {
            _calls.Add(call);
            return _failures.TryGetValue(call.Operation, out Exception? error) ? ValueTask.FromException(error)
                : _holds.TryGetValue(call.Operation, out TaskCompletionSource? hold) ? new ValueTask(hold.Task)
                : ValueTask.CompletedTask;
        }
    }
}
