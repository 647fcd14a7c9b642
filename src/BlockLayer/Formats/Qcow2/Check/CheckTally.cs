using BlockLayer.Graph;

namespace BlockLayer.Formats.Qcow2;

/// <summary>Counts faults, and keeps the first of them with their sentences.</summary>
internal sealed class CheckTally
{
    /// <summary>A damaged image can have millions of faults; nobody reads more than these.</summary>
    private const int MaxFindings = 1000;

    private readonly List<ImageCheckFinding> _findings = [];
    private readonly long[] _counts = new long[Enum.GetValues<ImageFaultKind>().Length];

    /// <summary>The findings kept.</summary>
    public IReadOnlyList<ImageCheckFinding> Findings => _findings;

    /// <summary>Contradictions that are only a copied flag's: they follow from refcounts and go with them.</summary>
    public ulong CopiedFlags { get; set; }

    /// <summary>Set where something was left out that may refer to clusters: what nothing seems to refer to may be in use then.</summary>
    public bool IsIncomplete { get; set; }

    /// <summary>How many faults of a kind were counted.</summary>
    public long this[ImageFaultKind kind] => _counts[(int)kind];

    /// <summary>Counts a fault found in as many places as the weight says. True when its sentence is wanted: then <see cref="Describe"/>.</summary>
    public bool Count(ImageFaultKind kind, ulong weight = 1)
    {
        _counts[(int)kind] += (long)weight;
        return weight > 0 && _findings.Count < MaxFindings;
    }

    /// <summary>Counts contradictions. True when their sentence is wanted.</summary>
    public bool Corruption(ulong weight = 1) => Count(ImageFaultKind.Corruption, weight);

    /// <summary>Keeps a finding that was counted.</summary>
    public void Describe(ImageFaultKind kind, string message) => _findings.Add(new ImageCheckFinding(kind, message));
}
