using System.Collections.Concurrent;
using System.Diagnostics;

namespace BlockLayer.TestKit;

/// <summary>
/// Fails a run in which a <see cref="Debug.Assert(bool)"/> of the library has failed, whoever caught what the runner makes of that: to the library it is an exception like any other, such as that of a
/// listener, which it tells beside a result that stands.
/// </summary>
public sealed class FailedAssertions : TraceListener
{
    private readonly ConcurrentQueue<string> _failed = new();

    /// <summary>Listens before the runner's own listener, which throws.</summary>
    public FailedAssertions() => Trace.Listeners.Insert(0, this);

    public override void Fail(string? message, string? detailMessage) => _failed.Enqueue($"{message} {detailMessage}\n{Environment.StackTrace}");

    public override void Write(string? message)
    {
    }

    public override void WriteLine(string? message)
    {
    }

    protected override void Dispose(bool disposing)
    {
        Trace.Listeners.Remove(this);
        base.Dispose(disposing);
        if (_failed.TryPeek(out string? first))
        {
            throw new InvalidOperationException($"{_failed.Count} assertions failed during the tests. The first: {first}");
        }
    }
}
