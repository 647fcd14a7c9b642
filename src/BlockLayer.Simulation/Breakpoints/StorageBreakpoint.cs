using BlockLayer.Errors;

namespace BlockLayer.Simulation;

/// <summary>
/// Stops the first call to storage that a rule hits, before anything of it was done: a crash at this moment does not know of it.
/// <see cref="FaultPlan.Break"/> makes them.
/// </summary>
public sealed class StorageBreakpoint : Breakpoint
{
    private readonly FaultRule _rule;
    private long _matched;
    private BlockErrorKind? _failure;

    internal StorageBreakpoint(FaultRule rule) => _rule = rule;

    /// <summary>The call that stopped here; null as long as none has.</summary>
    public StorageCall? Call { get; private set; }

    /// <summary>Makes the call that stopped here fail, with nothing done.</summary>
    public void Fail(BlockErrorKind kind)
    {
        _failure = kind;
        Continue();
    }

    /// <summary>True when a call is to stop here; it has to go through <see cref="HoldAsync"/> then.</summary>
    internal bool Takes(StorageCall call)
    {
        if (Call is not null || !_rule.Matches(call) || _matched++ < _rule.Skip)
        {
            return false;
        }

        Call = call;
        return true;
    }

    internal async ValueTask HoldAsync()
    {
        await StopAsync().ConfigureAwait(false);
        if (_failure is { } kind)
        {
            throw (_rule with { Kind = kind }).CreateError(Call!.Value);
        }
    }
}
