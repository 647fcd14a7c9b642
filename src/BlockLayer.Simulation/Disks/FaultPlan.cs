namespace BlockLayer.Simulation;

/// <summary>The fault rules of simulated storage. Rules may be added and removed during a run; the first rule that hits a call decides.</summary>
public sealed class FaultPlan
{
    private readonly List<Entry> _entries = [];
    private readonly List<StorageBreakpoint> _breakpoints = [];

    /// <summary>Adds a rule behind those that are there; its counts begin now.</summary>
    /// <exception cref="ArgumentException">The rule has no operations, a path that is no real path, or a number that means nothing.</exception>
    public void Add(FaultRule rule)
    {
        rule.Check();
        _entries.Add(new Entry(rule));
    }

    /// <summary>Stops the first call that a rule hits; its effect, count and probability are of no meaning.</summary>
    /// <exception cref="ArgumentException"><inheritdoc cref="Add" path="/exception"/></exception>
    public StorageBreakpoint Break(FaultRule rule)
    {
        rule.Check();
        var breakpoint = new StorageBreakpoint(rule);
        _breakpoints.Add(breakpoint);
        return breakpoint;
    }

    /// <summary>Removes a rule; false if it is not there.</summary>
    public bool Remove(FaultRule rule) => _entries.RemoveAll(entry => ReferenceEquals(entry.Rule, rule)) > 0;

    /// <summary>Removes all rules and the breakpoints that nothing has reached.</summary>
    public void Clear()
    {
        _entries.Clear();
        _breakpoints.Clear();
    }

    /// <summary>How many calls the rules that are there have hit.</summary>
    public long Hits => _entries.Sum(entry => entry.Hits);

    /// <summary>How many calls the rule has hit, so that a test can tell that its fault took place.</summary>
    public long CountHits(FaultRule rule) => _entries.Where(entry => ReferenceEquals(entry.Rule, rule)).Sum(entry => entry.Hits);

    /// <summary>Waits at a breakpoint, if the call hits one.</summary>
    internal ValueTask PassAsync(StorageCall call)
    {
        foreach (StorageBreakpoint breakpoint in _breakpoints)
        {
            if (breakpoint.Takes(call))
            {
                return breakpoint.HoldAsync();
            }
        }

        return ValueTask.CompletedTask;
    }

    /// <summary>The rule that hits this call, or null.</summary>
    internal FaultRule? Decide(StorageCall call, SeededRandom random)
    {
        foreach (Entry entry in _entries)
        {
            FaultRule rule = entry.Rule;
            if (rule.Matches(call) && entry.Matched++ >= rule.Skip && entry.Hits < rule.Count && (rule.Probability >= 1 || random.Chance(rule.Probability)))
            {
                entry.Hits++;
                return rule;
            }
        }

        return null;
    }

    private sealed class Entry(FaultRule rule)
    {
        internal FaultRule Rule { get; } = rule;

        internal long Matched { get; set; }

        internal long Hits { get; set; }
    }
}
