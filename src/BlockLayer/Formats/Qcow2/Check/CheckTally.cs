using BlockLayer.Graph;

namespace BlockLayer.Formats.Qcow2;

/// <summary>Counts findings, and keeps the first of them with their sentences.</summary>
internal sealed class CheckTally
{
    /// <summary>A damaged image can have millions of findings; nobody reads more than these.</summary>
    private const int MaxFindings = 1000;

    private readonly List<CheckFinding> _findings = [];
    private readonly long[] _counts = new long[3];

    /// <summary>The findings kept.</summary>
    public IReadOnlyList<CheckFinding> Findings => _findings;

    /// <summary>How many findings of a severity were counted.</summary>
    public long this[CheckSeverity severity] => _counts[(int)severity];

    /// <summary>Counts a contradiction, found in as many places as the weight says. True when its sentence is wanted: then <see cref="Describe"/>.</summary>
    public bool Corruption(ulong weight = 1) => Count(CheckSeverity.Corruption, weight);

    /// <summary>Counts a cluster that nothing uses. True when its sentence is wanted.</summary>
    public bool Leak() => Count(CheckSeverity.Leak, 1);

    /// <summary>Counts places that cannot be looked at. True when their sentence is wanted.</summary>
    public bool NotChecked(long places = 1) => Count(CheckSeverity.NotChecked, (ulong)places);

    /// <summary>Keeps a finding that was counted.</summary>
    public void Describe(CheckSeverity severity, HostOffset at, string message) => _findings.Add(new CheckFinding(severity, at.Value, message));

    private bool Count(CheckSeverity severity, ulong weight)
    {
        _counts[(int)severity] += (long)weight;
        return weight > 0 && _findings.Count < MaxFindings;
    }
}
