namespace BlockLayer.Graph;

/// <summary>What a repair found, did and left.</summary>
public sealed record ImageRepairReport
{
    /// <summary>What a check found before.</summary>
    public required ImageCheckReport Before { get; init; }

    /// <summary>What a check of the repaired image finds.</summary>
    public required ImageCheckReport After { get; init; }

    /// <summary>What was changed, in order; as with findings, not more than anybody reads.</summary>
    public IReadOnlyList<string> Repairs { get; init; } = [];

    /// <summary>Corruptions that were found before and are gone.</summary>
    public long CorruptionsFixed => Math.Max(0, Before.Corruptions - After.Corruptions);

    /// <summary>Leaks that were found before and are gone.</summary>
    public long LeaksFixed => Math.Max(0, Before.Leaks - After.Leaks);
}
